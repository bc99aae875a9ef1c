// What each method does, as one statement. Names are quoted, values are parameters, and each answer is { status, headers, body }.
'use strict';
const crypto = require('node:crypto');
const { transaction } = require('./database.js');
const { notFound, invalid } = require('./problem.js');
const { name, Statement, headersOf } = require('./statement.js');
const { OPERATORS, conditions, selection, pageSize } = require('./request.js');
const { keyIn, ordering, preferred } = require('./modules/postgrest.js');
const body = require('./modules/body.js');
const config = require('./config.js');

const literal = (text) => `'${text.replaceAll("'", "''")}'`;
const view = (resource) => `${name(config.schema)}.${name(resource.name)}`;
const weakTag = (text) => `W/"${crypto.createHash('sha256').update(text).digest('base64url').slice(0, 22)}"`;

const rowOf = (columns) => `(SELECT row_to_json(x)::text FROM (SELECT ${columns.map((c) => `r.${name(c)}`).join(', ')}) x)`;
const arrayLiteral = (values) => `{${values.map((v) => `"${v.replace(/["\\]/g, '\\$&')}"`).join(',')}}`;

function where(statement, key, filter = []) {
    const terms = [...key].map(([column, value]) => `r.${name(column)} = ${statement.bind(value)}`);
    for (const { column, operator, value } of filter) {
        const left = `r.${name(column)} ${OPERATORS[operator]} `;
        if (operator === 'is') terms.push(left + { null: 'NULL', not_null: 'NOT NULL', true: 'TRUE', false: 'FALSE', unknown: 'UNKNOWN' }[value.toLowerCase()]);
        else if (operator === 'in') terms.push(`${left}(${statement.bind(arrayLiteral(value))})`);
        else terms.push(left + statement.bind(value));
    }
    return terms.length ? ` WHERE ${terms.join(' AND ')}` : '';
}

const linkTo = (query, token, rel) => {
    const next = new URLSearchParams(query);
    next.set('page_token', token);
    return `<?${next}>; rel="${rel}"`;
};

// GET /tasks: a page. Its Link leads to the pages beside it, at the same cost however deep they are; without rel="next" it is the
// last one. With ?cursor=gt.TOKEN the client pages by the cursor of the last row that it has, which must be the cursor of the order
// that it asks for. What expose() did not make, such as /sessions, has no order of its own and comes whole.
async function list(what, request) {
    const { resource, fixed, parent } = what, { query } = request, statement = new Statement();
    const filter = conditions(resource, query), columns = selection(resource, query);
    if (!resource.order_by || filter.some((c) => resource.byName.get(c.column).type === 'taskapi.cursor') || !columns.every((c) => resource.visible.includes(c))) {
        return rows(what, request, statement, columns, filter);
    }
    const exists = parent ? `EXISTS (SELECT FROM ${view(parent.resource)} AS r${where(statement, parent.key)})` : 'true', json = {};
    for (const { column, operator, value } of filter) (json[column] ??= {})[operator] = value;
    for (const [column, value] of fixed) json[column] = { ...json[column], eq: value };
    const answer = await transaction(request, statement.of(`SELECT p.items::text, p.next_page_token, p.previous_page_token, ${exists}
        FROM taskapi.page(${literal(view(resource))}, ${statement.bind(query.get('order') || resource.order_by)}, ${statement.bind(pageSize(query))}, ${statement.bind(query.get('page_token'))},
            ${statement.bind(Object.keys(json).length ? JSON.stringify(json) : null)}) p`));
    const [[items, next, previous, found]] = answer.rows;
    if (found === 'f') throw notFound(`${parent.resource.name} have no such row.`);
    const text = columns === resource.visible ? items : JSON.stringify(JSON.parse(items).map((row) => Object.fromEntries(columns.map((c) => [c, row[c]]))));
    const link = [next && linkTo(query, next, 'next'), previous && linkTo(query, previous, 'prev')].filter(Boolean).join(', ');
    const headers = headersOf(answer, { ETag: weakTag(text) });
    if (link) headers.link = link; else delete headers.link;
    return { status: answer.status ?? 200, headers, body: text };
}

async function rows({ resource, fixed }, request, statement, columns, filter) {
    const { query } = request, scope = where(statement, fixed, filter), limit = pageSize(query) ?? (resource.order_by ? `coalesce(current_setting('taskapi.default_page_size', true), '50')::int` : 'ALL');
    const answer = await transaction(request, statement.of(`SELECT ${rowOf(columns)} FROM ${view(resource)} AS r${scope}${ordering(resource, query)} LIMIT ${limit}`));
    const text = `[${answer.rows.map(([row]) => row)}]`;
    return { status: answer.status ?? 200, headers: headersOf(answer, { ETag: weakTag(text) }), body: text };
}

// GET /tasks/ID. Its ETag is the version, which If-Match asks for.
async function read({ resource, key }, request) {
    const statement = new Statement(), columns = selection(resource, request.query);
    const version = resource.versioned && !resource.trash ? ', r.version' : '';
    const answer = await transaction(request, statement.of(`SELECT ${rowOf(columns)}${version} FROM ${view(resource)} AS r${where(statement, key, conditions(resource, request.query))}`));
    if (!answer.rows.length) throw notFound(`${resource.name} have no such row.`);
    const [[row, number]] = answer.rows;
    return { status: answer.status ?? 200, headers: headersOf(answer, { ETag: number ? `"${number}"` : weakTag(row) }), body: row };
}

// The names that the rows of a body have, all of them the same. The columns that the path gives are the path's.
function columnsOf(resource, rows, given = new Map()) {
    const names = Object.keys(rows[0] ?? {});
    for (const row of rows) {
        const own = Object.keys(row);
        if (own.length !== names.length || own.some((n) => !Object.hasOwn(rows[0], n))) throw invalid('invalid_value', 'All rows must have the same members.');
    }
    for (const n of names) {
        if (!resource.byName.has(n)) throw invalid('invalid_value', `${resource.name} have no column "${n}".`);
        if (given.has(n) && rows.some((r) => String(r[n]).toLowerCase() !== given.get(n).toLowerCase())) throw invalid('invalid_value', `"${n}" is not the one of the path.`);
    }
    return names.filter((n) => !given.has(n));
}

const locationOf = (resource, key) => key && `${config.publicUrl}/${resource.name}/${key.map(encodeURIComponent).join(',')}`;

function insertion(statement, resource, text, columns, given, many) {
    const all = [...columns, ...given.keys()].map(name).join(', ');
    if (!all) return `INSERT INTO ${view(resource)} AS r DEFAULT VALUES`;
    const values = [...columns.map((c) => `j.${name(c)}`), ...[...given].map(([c, v]) => `${statement.bind(v)}::${resource.byName.get(c).type}`)];
    const source = columns.length || many ? ` FROM json_populate_record${many ? 'set' : ''}(NULL::${view(resource)}, ${statement.bind(text)}) j` : '';
    return `INSERT INTO ${view(resource)} AS r (${all}) SELECT ${values.join(', ')}${source}`;
}

// POST /tasks: one object, or an array of them, all or none. Idempotency-Key covers either. Who says return=representation is a
// client of PostgREST, and gets an array.
async function create({ resource, fixed }, request) {
    const { text, rows, many = false } = await body(request.stream, {});
    if (!rows.length) return { status: 201, headers: {}, body: '[]' };
    const statement = new Statement(), columns = columnsOf(resource, rows, fixed), wanted = selection(resource, request.query);
    const keys = resource.key.length ? `, ${resource.key.map((k) => `r.${name(k)}`).join(', ')}` : '';
    const answer = await transaction(request, statement.of(`${insertion(statement, resource, text, columns, fixed, many)} RETURNING ${rowOf(wanted)}${keys}`));
    const wish = preferred(request.headers), bodies = answer.rows.map(([row]) => row), [[, ...key]] = answer.rows.length ? answer.rows : [[]];
    const Location = many || !key.length || key.includes(null) ? undefined : locationOf(resource, key);
    return { status: answer.status ?? 201, headers: headersOf(answer, { Location }), body: wish === 'minimal' ? '' : many || wish === 'representation' ? `[${bodies}]` : bodies[0] };
}

// PUT /tasks/ID replaces: what the body leaves out takes its default; a row that is not there is created.
async function put(what, request) {
    const { resource } = what, key = what.key ?? keyIn(resource, request.query);
    const { text, rows } = await body(request.stream, { onlyObject: true });
    const statement = new Statement(), columns = columnsOf(resource, rows, key), keys = resource.key.map(name).join(', ');
    const set = [...key.keys(), ...columns].map((c) => `${name(c)} = excluded.${name(c)}`).join(', ');
    const answer = await transaction(request, statement.of(`${insertion(statement, resource, text, columns, key, false)} ON CONFLICT (${keys}) DO UPDATE SET ${set} WHERE set_config('pgrst.inserted', '0', true) = '0' RETURNING ${rowOf(selection(resource, request.query))}`));
    const created = answer.inserted, wish = preferred(request.headers), bodies = answer.rows.map(([row]) => row);
    return { status: answer.status ?? (created ? 201 : 200), headers: headersOf(answer, { Location: created ? locationOf(resource, resource.key.map((k) => key.get(k))) : undefined }),
        body: wish === 'minimal' ? '' : what.key ? bodies[0] : `[${bodies}]` };
}

// Without a filter it would be all rows.
function scope(statement, what, request) {
    const filter = conditions(what.resource, request.query);
    if (!what.key && !what.fixed.size && !filter.length && what.resource.order_by) throw invalid('invalid_filter', 'It would be all rows. Say which: /tasks/ID, or ?status=eq.done');
    return where(statement, what.key ?? what.fixed, filter);
}

// One row as an object, or 404; of a collection those that there were, as an array.
function changed({ resource, key }, request, answer, whole) {
    if (key && !answer.rows.length) throw notFound(`${resource.name} have no such row.`);
    const wish = preferred(request.headers), bodies = answer.rows.map(([row]) => row);
    const shown = wish === 'representation' || (whole && key && wish === undefined);
    return { status: answer.status ?? (shown ? 200 : 204), headers: headersOf(answer), body: !shown ? '' : key ? bodies[0] : `[${bodies}]` };
}

// PATCH: a JSON object whose members replace columns (RFC 7396, as far as columns go). Of the trash, {"deleted_at": null} restores.
async function patch(what, request) {
    const { text, rows } = await body(request.stream, { onlyObject: true });
    const columns = columnsOf(what.resource, rows), statement = new Statement();
    if (!columns.length) throw invalid('invalid_value', 'The body names no column.');
    const source = statement.bind(text);
    const answer = await transaction(request, statement.of(`UPDATE ${view(what.resource)} AS r SET ${columns.map((c) => `${name(c)} = j.${name(c)}`).join(', ')}
        FROM json_populate_record(NULL::${view(what.resource)}, ${source}) j${scope(statement, what, request)} RETURNING ${rowOf(selection(what.resource, request.query))}`));
    return changed(what, request, answer, true);
}

// DELETE puts a row into the trash; of the trash, it purges.
async function remove(what, request) {
    const statement = new Statement();
    const answer = await transaction(request, statement.of(`DELETE FROM ${view(what.resource)} AS r${scope(statement, what, request)} RETURNING ${rowOf(selection(what.resource, request.query))}`));
    return changed(what, request, answer, false);
}

module.exports = {
    collection: { GET: list, HEAD: list, POST: create, PUT: put, PATCH: patch, DELETE: remove },
    row: { GET: read, HEAD: read, PUT: put, PATCH: patch, DELETE: remove },
};
