"""Texts that the bundled model is calibrated and checked with, all of them written here."""

import random
from collections.abc import Iterable

TEXTS = 160  # made up for calibration, besides CALIBRATION


def sentences(text: str) -> list[str]:
    """Split at | and at line ends."""
    return [part.strip() for part in text.replace("\n", "|").split("|")]


CALIBRATION = sentences("""The train to Lisbon leaves at nine in the morning.
My sister adopted a grey cat called Pixel last spring.
How many milligrams of ibuprofen can an adult take per day?
We moved the database from Postgres 14 to Postgres 16 over the weekend.
He never learned to swim, although he grew up beside the sea.
What's the name of the bakery on Queen Street?
Quarterly revenue rose by 12.4%, mostly thanks to repeat customers.
Please remind me to water the tomatoes on Thursday.
The function raises a ValueError when the list is empty.
I'm allergic to peanuts and shellfish, so check the menu first.
Mount Kilimanjaro is the highest mountain in Africa. | Could you translate this paragraph into Portuguese?
The old violin had belonged to her grandfather's teacher. | Our flight was cancelled because of heavy fog.
I prefer tea over coffee, especially in the evening.
git rebase --interactive HEAD~5 lets you squash commits.
The contract ends on 31 March 2027 unless either party objects.
They painted the kitchen a pale shade of yellow.
Photosynthesis turns light, water and carbon dioxide into sugar. | ok | Thanks! | 42
¿Dónde está la estación de tren más cercana? | Der Zug nach München hat zwanzig Minuten Verspätung.
東京の天気はどうですか | 🎉🎉 finally done with my thesis!!!""")
REFERENCE = sentences("""The ferry to the island runs twice a day in winter.
I keep the spare key under the blue flowerpot.
How do I convert a list of strings to lower case? | Her brother moved to Toronto to study marine biology.
The meeting with the auditors is on Tuesday at 10:30.
Preheat the oven to 180 degrees and grease the tin. | Our cache misses doubled after the last deployment.
Which of these museums is open on Mondays?""")
WHO = sentences("""My neighbour | The new intern | Aunt Rosa | Our landlord | A retired pilot | The support team
Dr. Okafor | The band""")
DID = sentences("""bought a second-hand bicycle | asked for a refund of 79.90 euros | lost the keys to the cellar
wrote a script in Rust | is afraid of spiders | cooked lentil soup for nine people
flies to Nairobi on Friday | cannot stand loud music | adopted two rescue dogs
finished the marathon in 3:58:12""")
WHEN = ["yesterday.", "after the storm, which nobody had expected so early in the year.", "- why?"]


def calibration_texts(vocabulary: Iterable[str]) -> list[str]:
    """Texts of many lengths: the sentences above, templates filled in, and random words of the vocabulary."""
    choose = random.Random(7)
    words = sorted(word for word in vocabulary if len(word) > 2 and word.isascii() and word.isalpha())
    filled = [f"{who} {did} {when}" for who in WHO for did in DID for when in WHEN] + CALIBRATION
    texts = list(CALIBRATION)
    for _ in range(TEXTS):
        text: list[str] = []
        length = choose.choice([6, 12, 25, 60, 150])
        while len(text) < length:
            made_up = " ".join(choose.choices(words, k=choose.randint(3, 12))) + choose.choice(".?!,")
            text += (choose.choice(filled) if choose.random() < 0.5 else made_up).split()
        texts.append(" ".join(text))
    return texts
