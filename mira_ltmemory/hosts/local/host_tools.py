"""Two harmless tools of the host itself, so that tool relevance has something to choose from."""

from __future__ import annotations

from typing import Any

_EVENTS = (
    ("2026-01-05", "Dentist appointment at 10:00"),
    ("2026-01-07", "Meeting with the garden club at 18:30"),
)
_WEATHER = {"berlin": ("light rain", 4), "chicago": ("snow", -6), "lisbon": ("sun", 16)}


class CalendarTool:
    """A calendar with two fixed entries."""

    name = "calendar_tool"
    description = "List the appointments, meetings and events in the user's calendar schedule."
    simple_description = "reads the calendar"

    def get_dependencies(self) -> list[str]:
        """None."""
        return []

    def get_metadata(self) -> dict[str, Any]:
        """One parameter: the day."""
        day = {"type": "string", "description": "A day as YYYY-MM-DD; without it, all days"}
        return _metadata(self, {"day": day}, [])

    @property
    def openai_schema(self) -> dict[str, Any]:
        """For Ollama."""
        return _openai(self)

    def run(self, day: str = "") -> dict[str, Any]:
        """Return the entries of a day, or all."""
        events = [{"day": when, "title": title} for when, title in _EVENTS if day in ("", when)]
        return {"success": True, "events": events}


class WeatherTool:
    """Weather that never changes, for three cities."""

    name = "weather_tool"
    description = "Tell the weather forecast and temperature, rain or snow, for a city."
    simple_description = "tells the weather"

    def get_dependencies(self) -> list[str]:
        """None."""
        return []

    def get_metadata(self) -> dict[str, Any]:
        """One parameter: the city."""
        city = {"type": "string", "description": "The city", "enum": [name.title() for name in _WEATHER]}
        return _metadata(self, {"city": city}, ["city"])

    @property
    def openai_schema(self) -> dict[str, Any]:
        """For Ollama."""
        return _openai(self)

    def run(self, city: str) -> dict[str, Any]:
        """Sky and temperature."""
        if city.lower() not in _WEATHER:
            return {"success": False, "error": f"I know no weather for {city}."}
        sky, degrees = _WEATHER[city.lower()]
        return {"success": True, "city": city, "sky": sky, "degrees_celsius": degrees}


def _metadata(tool: Any, parameters: dict[str, Any], required: list[str]) -> dict[str, Any]:
    return {
        "name": tool.name,
        "description": tool.description,
        "parameters": parameters,
        "required_parameters": required,
        "usage_examples": [],
    }


def _openai(tool: Any) -> dict[str, Any]:
    metadata = tool.get_metadata()
    schema = {
        "type": "object",
        "properties": metadata["parameters"],
        "required": metadata["required_parameters"],
    }
    function = {"name": tool.name, "description": tool.description, "parameters": schema}
    return {"type": "function", "function": function}
