// The parts of a write: what of its body becomes columns, the INSERT, and the form of the answer.
'use strict';
const { invalid } = require('../problem.js');
const { name, view, rowOf, headersOf } = require('../statement.js');
const { selection } = require('../request.js');
const config = require('../config.js');

// A value of the body that says what the path says. Of a number that JavaScript cannot tell from the next, as much as it can; the path's
// is what is written.
const same = (value, text) => (typeof value === 'number' ? value === Number(text) : String(value).toLowerCase() === text.toLowerCase());

// The names that the rows of a body have, all of them the same. The columns that the path gives are the path's.
function columnsOf(resource, rows, given = new Map(), key = undefined) {
    const names = Object.keys(rows[0] ?? {});
    for (const row of rows) {
        const own = Object.keys(row);
        if (own.length !== names.length || own.some((n) => !Object.hasOwn(rows[0], n))) throw invalid('invalid_value', 'All rows must have the same members.');
    }
    for (const n of names) {
        if (!resource.byName.has(n)) throw invalid('invalid_value', `${resource.name} have no column "${n}".`, resource.bin?.byName.has(n) ? `Restore at /${resource.bin.name}/${key?.size ? [...key.values()] : 'ID'}.` : undefined);
        if (given.has(n) && rows.some((r) => !same(r[n], given.get(n)))) throw invalid('invalid_value', `"${n}" is not the one of the path.`);
    }
    return names.filter((n) => !given.has(n));
}

const locationOf = (resource, key) => key && `${config.publicUrl}/${encodeURIComponent(resource.name)}/${key.map(encodeURIComponent)}`;

function insertion(statement, resource, text, columns, given, many) {
    const all = [...columns, ...given.keys()].map(name).join(', ');
    if (!all) return `INSERT INTO ${view(resource)} AS r DEFAULT VALUES`;
    const values = [...columns.map((c) => `j.${name(c)}`), ...[...given].map(([c, v]) => `${statement.bind(v)}::${resource.byName.get(c).type}`)];
    const source = columns.length || many ? ` FROM json_populate_record${many ? 'set' : ''}(NULL::${view(resource)}, ${statement.bind(text)}) j` : '';
    return `INSERT INTO ${view(resource)} AS r (${all}) SELECT ${values.join(', ')}${source}`;
}

// How a write answers: with a row as an object, with an array of rows, or with none, for which no right to read is needed. "unsaid" is for who
// has no wish; who says return=representation is a client of PostgREST, and gets an array of a collection.
function formOf({ resource, key }, request, wish, unsaid) {
    if (!selection(resource, request.query).length && wish.return !== 'representation') return 'none';
    return wish.return === 'representation' ? (key ? 'object' : 'array') : wish.return ? 'none' : unsaid;
}

function returning(resource, request, form, keys = []) {
    const wanted = selection(resource, request.query), row = form === 'none' ? (keys.length ? ['NULL'] : []) : [wanted.length ? rowOf(wanted) : 'row_to_json(r)::text'];
    return row.length ? ` RETURNING ${[...row, ...keys.map((k) => `r.${name(k)}`)].join(', ')}` : '';
}

function written(form, wish, answer, status, Location) {
    const bodies = answer.rows.map(([row]) => row), body = form === 'none' ? '' : form === 'array' ? `[${bodies}]` : bodies[0] ?? '';
    return { status: answer.status ?? (status === 200 && !body ? 204 : status), body, headers: headersOf(answer, { Location,
        'Content-Range': wish.count && `*/${answer.rows.count}`, 'Preference-Applied': Object.entries(wish).map((pair) => pair.join('=')).join(', ') || undefined }) };
}

module.exports = { same, columnsOf, locationOf, insertion, formOf, returning, written };
