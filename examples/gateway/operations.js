// What each method does, as one statement. Names are quoted, values are parameters, and each answer is { status, headers, body }.
'use strict';
const { transaction } = require('./database.js');
const { notFound, invalid } = require('./problem.js');
const { name, arrayLiteral, view, rowOf, Statement, headersOf } = require('./statement.js');
const { OPERATORS, conditions, filterOf, selection, pageSize } = require('./request.js');
const { keyIn, preferences, conflictOf, onConflict, rangeOf } = require('./modules/postgrest.js');
const { orderFor, namesOf, ordering } = require('./modules/order.js');
const { weakTag } = require('./modules/conditional.js');
const { same, columnsOf, locationOf, insertion, formOf, returning, written } = require('./modules/writes.js');
const body = require('./modules/body.js');

const literal = (text) => `'${text.replaceAll("'", "''")}'`;

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
// last one. With ?cursor=gt.TOKEN the client pages by the cursor of the last row that it has, in the order of that
// cursor (see modules/order.js). What expose() did not make, such as /sessions, has no order of its own and comes whole.
async function list(what, request) {
    const { resource, fixed, parent } = what, { query } = request, statement = new Statement(), { count } = preferences(request.headers);
    const filter = conditions(resource, query), columns = selection(resource, query);
    if (!resource.order_by || filter.some((c) => resource.byName.get(c.column).type === 'taskapi.cursor') || ![...columns, ...namesOf(resource, query)].every((c) => resource.visible.includes(c) || !resource.byName.has(c))) {
        return rows(what, request, statement, columns, filter, count);
    }
    const exists = parent ? `EXISTS (SELECT FROM ${view(parent.resource)} AS r${where(statement, parent.key)})` : 'true';
    for (const [column, value] of fixed) {
        const said = filter.find((c) => c.column === column && c.operator === 'eq');
        if (said && !same(said.value, value)) throw invalid('invalid_filter', `"${column}" is not the one of the path.`);
        if (said) said.value = value; else filter.push({ column, operator: 'eq', value });
    }
    const shown = count ? 'json_array_length(p.items), p.total_size' : 'NULL, NULL';
    const answer = await transaction(request, statement.of(`SELECT p.items::text, p.next_page_token, p.previous_page_token, ${exists}, ${shown}
        FROM taskapi.page(${literal(view(resource))}, ${statement.bind(orderFor(resource, query))}, ${statement.bind(pageSize(query))}, ${statement.bind(query.get('page_token'))},
            ${statement.bind(filterOf(resource, filter))}, ${count ? literal(count === 'exact' ? count : 'estimated') : 'NULL'},
            ${columns === resource.visible ? 'NULL' : statement.bind(arrayLiteral(columns))}) p`));
    const [[text, next, previous, found, here, total]] = answer.rows;
    if (found === 'f') throw notFound(`${parent.resource.name} have no such row.`);
    const link = [next && linkTo(query, next, 'next'), previous && linkTo(query, previous, 'prev')].filter(Boolean).join(', ');
    const bytes = Buffer.from(text), headers = headersOf(answer, { ETag: weakTag(bytes), 'Content-Range': count && rangeOf(query.get('page_token') ? 0 : Number(here), total) });
    if (link && link.length <= 2048) headers.link = link; else delete headers.link;      // proxies bound the head of an answer
    return { status: answer.status ?? 200, headers, body: bytes };
}

async function rows({ resource, fixed }, request, statement, columns, filter, count) {
    const { query } = request;
    if (query.get('page_token')) throw invalid('invalid_cursor', 'A page_token does not go with a filter on a cursor, nor with computed columns.', 'Follow cursor=gt.TOKEN of the last row.');
    const scope = where(statement, fixed, filter), size = pageSize(query), setting = (name, otherwise) => `coalesce(current_setting('taskapi.${name}', true), '${otherwise}')::int`;
    const limit = resource.order_by ? `least(${Number(size) || setting('default_page_size', 50)}, ${setting('max_page_size', 1000)})` : size ?? 'ALL';
    const answer = await transaction(request, statement.of(`SELECT ${rowOf(columns)}${count ? ', count(*) OVER ()' : ''} FROM ${view(resource)} AS r${scope}${ordering(resource, query, filter)} LIMIT ${limit}`));
    const bytes = Buffer.from(`[${answer.rows.map(([row]) => row)}]`);
    return { status: answer.status ?? 200, headers: headersOf(answer, { ETag: weakTag(bytes), 'Content-Range': count && rangeOf(answer.rows.length, answer.rows[0]?.[1] ?? 0) }), body: bytes };
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

// POST /tasks: one object, or an array of them, all or none. Idempotency-Key covers either.
async function create(what, request) {
    const { resource, fixed } = what, { text, rows, many = false } = await body(request.stream, {}), wish = preferences(request.headers);
    if (request.query.has('columns')) throw invalid('invalid_value', 'columns is not served here: send what is to be written.');
    const some = rows.length > 0, columns = some ? columnsOf(resource, rows, fixed) : resource.columns.filter((c) => c.insertable && !fixed.has(c.name)).slice(0, 1).map((c) => c.name);
    const statement = new Statement(), form = formOf(what, request, wish, many ? 'array' : 'object');
    const keys = many || wish.return === 'minimal' ? [] : resource.key.filter((k) => resource.byName.get(k).readable);
    const answer = await transaction(request, statement.of(insertion(statement, resource, text, columns, fixed, many) +
        conflictOf(resource, request.query, wish, [...columns, ...fixed.keys()]) + returning(resource, request, form, keys)));
    const created = answer.rows.count > answer.met, [[, ...key] = []] = answer.rows;
    const named = created && keys.length === resource.key.length && key.length === keys.length && !key.includes(null);
    return written(form, wish, answer, created || !some ? 201 : 200, named ? locationOf(resource, key) : undefined);
}

// PUT /tasks/ID replaces: what the body leaves out takes its default; a row that is not there is created.
async function put(what, request) {
    const { resource, fixed = [] } = what, key = what.key ?? keyIn(resource, request.query), given = new Map([...fixed, ...key]), wish = preferences(request.headers), form = formOf(what, request, wish, what.key ? 'object' : 'array');
    const { text, rows } = await body(request.stream, { onlyObject: true });
    for (const [column, value] of fixed) if (key.has(column) && !same(key.get(column), value)) throw invalid('invalid_filter', `"${column}" is not the one of the path.`);
    const statement = new Statement(), columns = columnsOf(resource, rows, given), replace = onConflict(resource.key, [...given.keys(), ...columns]);
    const answer = await transaction(request, statement.of(insertion(statement, resource, text, columns, given, false) + replace + returning(resource, request, form)));
    const created = answer.met === 0;
    return written(form, wish, answer, created ? 201 : 200, created ? locationOf(resource, resource.key.map((k) => key.get(k))) : undefined);
}

// Without a filter it would be all rows, and a part of them is none that a client can name.
function scope(statement, what, request) {
    for (const part of ['limit', 'page_size', 'page_token']) if (request.query.has(part)) throw invalid('invalid_filter', `${request.method} is of all rows that the filter leaves; ${part} is for GET.`);
    const filter = conditions(what.resource, request.query);
    if (!what.key && !what.fixed.size && !filter.length && what.resource.order_by) throw invalid('invalid_filter', `It would be all rows. Say which: /${what.resource.name}/${what.resource.key.join(',').toUpperCase()}, or those of a filter: ?${what.resource.key[0]}=in.(…)`);
    return where(statement, what.key ?? what.fixed, filter);
}

// Of one row, 404 if there is none.
function changed({ resource, key }, form, wish, answer) {
    if (key && !answer.rows.count) throw notFound(`${resource.name} have no such row.`);
    return written(form, wish, answer, 200);
}

// PATCH: a JSON object whose members replace columns (RFC 7396, as far as columns go). Of the trash, {"deleted_at": null} restores.
async function patch(what, request) {
    const { text, rows } = await body(request.stream, { onlyObject: true }), wish = preferences(request.headers), form = formOf(what, request, wish, what.key ? 'object' : 'none');
    const columns = columnsOf(what.resource, rows, undefined, what.key), statement = new Statement();
    if (!columns.length) throw invalid('invalid_value', 'The body names no column.');
    const source = statement.bind(text);
    const answer = await transaction(request, statement.of(`UPDATE ${view(what.resource)} AS r SET ${columns.map((c) => `${name(c)} = j.${name(c)}`).join(', ')}
        FROM json_populate_record(NULL::${view(what.resource)}, ${source}) j${scope(statement, what, request)}${returning(what.resource, request, form)}`));
    return changed(what, form, wish, answer);
}

// DELETE puts a row into the trash; of the trash, it purges.
async function remove(what, request) {
    const statement = new Statement(), wish = preferences(request.headers), form = formOf(what, request, wish, 'none');
    const answer = await transaction(request, statement.of(`DELETE FROM ${view(what.resource)} AS r${scope(statement, what, request)}${returning(what.resource, request, form)}`));
    return changed(what, form, wish, answer);
}

module.exports = {
    collection: { GET: list, HEAD: list, POST: create, PUT: put, PATCH: patch, DELETE: remove },
    row: { GET: read, HEAD: read, PUT: put, PATCH: patch, DELETE: remove },
};
