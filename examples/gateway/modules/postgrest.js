// What clients of PostgREST say otherwise: the schema, the key of a row in the query, Prefer, and upserts.
'use strict';
const { Problem, invalid } = require('../problem.js');
const { conditions, namesIn } = require('../request.js');
const { name } = require('../statement.js');
const config = require('../config.js');

// The schema that a client asks for: Content-Profile of what is sent, Accept-Profile of what is read. There is one.
function profileOf(request) {
    const wanted = request.headers[/^(POST|PUT|PATCH|DELETE)$/.test(request.method) ? 'content-profile' : 'accept-profile'];
    if (wanted === undefined) return;
    if (wanted !== config.schema) throw new Problem(406, 'PGRST106', `Invalid schema: ${wanted}`, undefined, {}, `Only the following schemas are exposed: ${config.schema}`);
    request.profile = wanted;
}

// The key as PostgREST's clients write it: ?id=eq.ID
function keyIn(resource, query) {
    const filter = conditions(resource, query), found = new Map(filter.filter((c) => c.operator === 'eq').map((c) => [c.column, c.value]));
    if (filter.length !== resource.key.length || !resource.key.every((k) => found.has(k))) throw invalid('invalid_filter', `PUT names one row, by ${resource.key}.`);
    return found;
}

// Prefer (RFC 7240): { return, resolution, count, handling }, as far as they were said; of one that is said twice the first counts. With
// handling=strict what is not done is refused: a limit such as max-affected is not passed over in silence.
const PREFERENCES = { return: ['minimal', 'headers-only', 'representation'], resolution: ['merge-duplicates', 'ignore-duplicates'], count: ['exact', 'planned', 'estimated'], handling: ['strict', 'lenient'] };
function preferences({ prefer }) {
    const found = {}, others = [];
    for (const [, name, value] of prefer?.toLowerCase().matchAll(/(?:^|[,;])\s*([^\s,;="]+)(?:\s*=\s*"?([^\s,;"]*)"?)?/g) ?? []) {
        if (Object.hasOwn(PREFERENCES, name) && PREFERENCES[name].includes(value)) found[name] ??= value;
        else others.push(value === undefined ? name : `${name}=${value}`);
    }
    if (found.handling === 'strict' && others.length) throw new Problem(400, 'PGRST122', 'Invalid preferences given with handling=strict', `Invalid preferences: ${others.join(', ')}`);
    return found;
}

// ON CONFLICT of a POST with Prefer: resolution. The row in the way is that of the key, or of the columns that on_conflict names.
function conflictOf(resource, query, { resolution }, columns) {
    if (!resolution) return '';
    const keys = query.has('on_conflict') ? namesIn(query.get('on_conflict')) : resource.key;
    for (const key of keys) if (!resource.byName.has(key)) throw invalid('invalid_on_conflict', `${resource.name} have no column "${key}".`);
    return onConflict(keys, resolution === 'merge-duplicates' ? columns : []);
}

// What is set if there is such a row; without a column, nothing is. The setting counts the rows that were there.
function onConflict(keys, columns) {
    const quoted = (names) => names.map(name).join(', ');
    if (!keys.length || !columns.length) return ` ON CONFLICT${keys.length ? ` (${quoted(keys)})` : ''} DO NOTHING`;
    return ` ON CONFLICT (${quoted(keys)}) DO UPDATE SET ${columns.map((c) => `${name(c)} = excluded.${name(c)}`).join(', ')}
        WHERE set_config('gateway.met', (current_setting('gateway.met')::int + 1)::text, true) <> '0'`;
}

// How many there are of what is shown, if one asked.
const rangeOf = (shown, total) => `${shown ? `0-${shown - 1}` : '*'}/${total}`;

module.exports = { profileOf, keyIn, preferences, conflictOf, onConflict, rangeOf };
