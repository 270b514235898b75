"""The functions through which the application erases: the one way to take text out of history."""

from __future__ import annotations

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

# The owner's rights may go past row-level security, so each function holds every row against the user of the
# transaction itself. They work inside a change set of the tool "forget" only, and none can write a text of the
# caller's: rows go, lines go, values become a mark.
ERASING_USER = """
CREATE FUNCTION ltmemory.erasing_user() RETURNS uuid
LANGUAGE plpgsql SET search_path = ltmemory, pg_temp AS $$
DECLARE
    present uuid := nullif(current_setting('ltmemory.user_id', true), '')::uuid;
    number bigint := nullif(current_setting('ltmemory.change_set_id', true), '')::bigint;
BEGIN
    IF NOT EXISTS (
        SELECT FROM ltmemory.change_sets c WHERE c.user_id = present AND c.id = number AND c.tool = 'forget'
    ) THEN
        RAISE EXCEPTION 'erasing needs the user of the transaction and a change set of the tool forget';
    END IF;
    RETURN present;
END
$$;
"""

# The trigger keeps a version of each live row that goes; then all versions go.
ERASE_ROWS = """
CREATE FUNCTION ltmemory.erase_rows(target text, ids uuid[])
RETURNS TABLE (live bigint, versions bigint, change_sets bigint[])
LANGUAGE plpgsql SECURITY DEFINER SET search_path = ltmemory, pg_temp AS $$
DECLARE
    present uuid := ltmemory.erasing_user();
BEGIN
    IF to_regclass(format('ltmemory.%I', target || '_versions')) IS NULL THEN
        RAISE EXCEPTION 'table % is not journaled', target;
    END IF;
    EXECUTE format('DELETE FROM ltmemory.%I r WHERE r.user_id = $1 AND r.id = ANY($2)', target) USING present, ids;
    GET DIAGNOSTICS live = ROW_COUNT;
    EXECUTE format(
        'WITH gone AS ('
        ' DELETE FROM ltmemory.%I v WHERE v.user_id = $1 AND v.id = ANY($2) RETURNING v.change_set_id, v.ended_by'
        ') SELECT (SELECT count(*) FROM gone), coalesce(array_agg(DISTINCT s.number), ''{}'')'
        ' FROM (SELECT change_set_id AS number FROM gone UNION SELECT ended_by FROM gone) s', target || '_versions'
    ) INTO versions, change_sets USING present, ids;
    versions := versions - live;
    RETURN NEXT;
END
$$;
"""

ERASE_VECTORS = """
CREATE FUNCTION ltmemory.erase_vectors(row_kind text, ids uuid[]) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = ltmemory, pg_temp AS $$
DECLARE
    present uuid := ltmemory.erasing_user();
    removed bigint;
BEGIN
    DELETE FROM ltmemory.vectors v WHERE v.user_id = present AND v.kind = row_kind AND v.row_id = ANY(ids);
    GET DIAGNOSTICS removed = ROW_COUNT;
    RETURN removed;
END
$$;
"""

# ``places`` names what goes: {"lines": [1, 3]} of a text (none: the whole text becomes the mark), {"items": [1]} of
# an array, {"paths": [..], "keys": [..]} of a jsonb value (marked, or dropped with its key).
ERASE_IN_PLACE = """
CREATE FUNCTION ltmemory.erase_in_place(target text, key jsonb, field text, places jsonb) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = ltmemory, pg_temp AS $$
DECLARE
    present uuid := ltmemory.erasing_user();
    holder regclass := to_regclass(format('ltmemory.%I', target));
    kind text;
    own text;
    mark text := '[erased]';
    changed text;
    place jsonb;
    touched bigint;
    old_json jsonb;
BEGIN
    SELECT format_type(a.atttypid, NULL) INTO kind FROM pg_attribute a
    WHERE a.attrelid = holder AND a.attname = field AND a.attnum > 0 AND NOT a.attisdropped;
    SELECT string_agg(format('t.%I::text = %L', a.attname, key ->> a.attname), ' AND ') INTO own
    FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY(i.indkey)
    WHERE i.indrelid = holder AND i.indisprimary AND a.attname <> 'user_id';
    IF kind IS NULL OR own IS NULL THEN
        RAISE EXCEPTION 'nothing can be erased in %.%', target, field;
    END IF;
    IF kind = 'text' AND places ? 'lines' THEN
        changed := format(
            '(SELECT coalesce(string_agg(u.line, E''\\n'' ORDER BY u.n), '''') FROM '
            'unnest(string_to_array(t.%I, E''\\n'')) WITH ORDINALITY AS u (line, n) WHERE NOT %L::jsonb @> to_jsonb(u.n))',
            field, places -> 'lines');
    ELSIF kind = 'text' THEN
        IF EXISTS (
            SELECT FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY(i.indkey)
            WHERE i.indrelid = holder AND i.indisunique AND a.attname = field
        ) THEN
            mark := format('[erased %s]', gen_random_uuid());
        END IF;
        changed := quote_literal(mark);
    ELSIF kind = 'text[]' THEN
        changed := format(
            '(SELECT coalesce(array_agg(u.item ORDER BY u.n), ''{}'') FROM '
            'unnest(t.%I) WITH ORDINALITY AS u (item, n) WHERE NOT %L::jsonb @> to_jsonb(u.n))',
            field, places -> 'items');
    ELSIF kind = 'jsonb' THEN
        EXECUTE format('SELECT t.%I FROM ltmemory.%I t WHERE t.user_id = $1 AND %s', field, target, own)
            INTO old_json USING present;
        FOR place IN SELECT value FROM jsonb_array_elements(coalesce(places -> 'paths', '[]')) LOOP
            IF place = '[]' THEN
                old_json := to_jsonb(mark);
            ELSE
                old_json := jsonb_set(
                    old_json, ARRAY(SELECT jsonb_array_elements_text(place)), to_jsonb(mark), false);
            END IF;
        END LOOP;
        FOR place IN SELECT value FROM jsonb_array_elements(coalesce(places -> 'keys', '[]')) LOOP
            old_json := old_json #- ARRAY(SELECT jsonb_array_elements_text(place));
        END LOOP;
        changed := format('%L::jsonb', old_json);
    ELSE
        RAISE EXCEPTION 'nothing can be erased in %.% of type %', target, field, kind;
    END IF;
    EXECUTE format('UPDATE ltmemory.%I t SET %I = %s WHERE t.user_id = $1 AND %s', target, field, changed, own)
        USING present;
    GET DIAGNOSTICS touched = ROW_COUNT;
    IF touched <> 1 THEN
        RAISE EXCEPTION 'no row % of % to erase from', key, target;
    END IF;
END
$$;
"""

# What an erasure took text from cannot be undone, and says so.
NOTE_ERASURE = """
CREATE FUNCTION ltmemory.note_erasure(receipt jsonb, touched bigint[]) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = ltmemory, pg_temp AS $$
DECLARE
    present uuid := ltmemory.erasing_user();
    number bigint := current_setting('ltmemory.change_set_id')::bigint;
BEGIN
    UPDATE ltmemory.change_sets c SET metadata = c.metadata || jsonb_build_object('erased_by', number)
    WHERE c.user_id = present AND c.id = ANY(touched) AND c.id <> number;
    UPDATE ltmemory.change_sets c SET metadata = c.metadata || jsonb_build_object('erasure', receipt)
    WHERE c.user_id = present AND c.id = number;
END
$$;
"""

RIGHTS = """
REVOKE ALL ON FUNCTION ltmemory.{function} FROM PUBLIC;
DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'ltmemory_app') THEN
        GRANT EXECUTE ON FUNCTION ltmemory.{function} TO ltmemory_app;
    END IF;
END
$$;
"""


def upgrade() -> None:
    """Make them."""
    op.execute(ERASING_USER)
    op.execute("REVOKE ALL ON FUNCTION ltmemory.erasing_user() FROM PUBLIC")
    for statement, function in (
        (ERASE_ROWS, "erase_rows(text, uuid[])"),
        (ERASE_VECTORS, "erase_vectors(text, uuid[])"),
        (ERASE_IN_PLACE, "erase_in_place(text, jsonb, text, jsonb)"),
        (NOTE_ERASURE, "note_erasure(jsonb, bigint[])"),
    ):
        op.execute(statement)
        op.execute(RIGHTS.format(function=function))
