// What a request asks for: path, query and body, checked against the catalog. The query language is PostgREST's, as far as
// taskapi.page() knows it: column=operator.value, select, order, limit; and page_token, from the Link of the page before.
'use strict';
const { notFound, invalid } = require('./problem.js');
const { catalog } = require('./catalog.js');

const OPERATORS = { eq: '=', neq: '<>', gt: '>', gte: '>=', lt: '<', lte: '<=', like: 'LIKE', ilike: 'ILIKE', in: '= ANY', is: 'IS', cs: '@>', cd: '<@', ov: '&&' };
// Operators of PostgREST's that are none here; what begins otherwise is a value without its operator.
const UNKNOWN = /^(not|(i?match|isdistinct|(pl|ph|w)?fts|sl|sr|nxr|nxl|adj)\b|[a-z]+\((any|all)\))/;
const RESERVED = new Set(['select', 'order', 'limit', 'page_size', 'page_token']);

// A key that cannot be one names no row. What else the type refuses, PostgreSQL says.
const FORMS = { uuid: /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i, smallint: /^-?\d{1,5}$/, integer: /^-?\d{1,10}$/, bigint: /^-?\d{1,19}$/ };

// /tasks, /tasks/ID, /projects/ID/tasks, /rpc/my_tasks. A key of several columns is written A,B; a comma in a value, as %2C.
function target(path) {
    const written = path.slice(1).split('/');
    let parts;
    try { parts = written.map(decodeURIComponent); } catch { throw invalid('invalid_path', 'A % in it begins no character of UTF-8.'); }
    if (parts.at(-1) === '') parts.pop();
    const [name, key, child] = parts;
    if (name === 'rpc' && parts.length === 2 && catalog.functions.has(key)) return { functions: catalog.functions.get(key), name: key };
    const resource = catalog.resources.get(name);
    if (!resource || parts.length > 3) throw notFound('There is no such resource.');
    if (parts.length === 1) return { resource, fixed: new Map() };
    const values = keyOf(resource, key, written[1]);
    if (parts.length === 2) return { resource, key: new Map(resource.key.map((k, i) => [k, values[i]])) };
    const columns = resource.children.get(child);
    if (!columns) throw notFound(`${name} have no ${child}.`);
    return { resource: catalog.resources.get(child), fixed: new Map(columns.map((c, i) => [c, values[i]])),
        parent: { resource, key: new Map(resource.key.map((k, i) => [k, values[i]])) } };
}

// Clients that encode a whole key write %2C between its values, too.
function keyOf(resource, text, written) {
    const apart = written.split(','), values = resource.key.length < 2 ? [text] : apart.length === resource.key.length ? apart.map(decodeURIComponent) : text.split(',');
    const none = resource.key.length === 0 || values.length !== resource.key.length ||
        resource.key.some((k, i) => FORMS[resource.byName.get(k).base]?.test(values[i]) === false || values[i].includes('\0'));
    if (none) throw notFound(`${resource.name} have no such row.`);
    return values;
}

// (a,"b,c") as its elements.
function elements(text) {
    const inner = /^\((.*)\)$/s.exec(text)?.[1];
    if (inner === undefined) throw invalid('invalid_filter', 'in. needs a list: in.(a,b)');
    if (inner === '') return [];
    // no text can be read in two ways, else one that is long and wrong would be tried in all of them
    const found = [], pattern = /\s*(?:"((?:[^"\\]|\\.)*)"\s*|([^",\s][^",]*)?)(,|$)/gsy;
    for (let m; (m = pattern.exec(inner)); ) {
        found.push(m[1] !== undefined ? m[1].replace(/\\(.)/gs, '$1') : m[2] ?? '');
        if (m[3] === '') return found;
    }
    throw invalid('invalid_filter', 'The list after in. is not well formed.');
}

// a,"b,c" as the names that it lists. Quotes are for names with a comma or a quote in them, and may be around any.
function namesIn(text) {
    const found = [], pattern = /\s*(?:"((?:[^"]|"")+)"\s*|([^\s",][^",]*)?)(,|$)/gy;
    for (let m; text.includes('"') && (m = pattern.exec(text)); ) {
        found.push(m[1]?.replaceAll('""', '"') ?? m[2] ?? '');
        if (m[3] === '') return found;
    }
    return text.split(',');
}

// The conditions of a query: [{ column, operator, value }], in.'s value being an array.
function conditions(resource, query) {
    const found = [];
    for (const [given, text] of query) {
        if (RESERVED.has(given)) continue;
        const column = resource.byName.has(given) ? given : namesIn(given).join(','), known = resource.byName.get(column);
        if (!known?.readable) throw invalid('invalid_filter', `${resource.name} have no column "${column}".`, /^(offset|page)$/i.test(column) ? 'Follow Link rel="next", or cursor=gt.TOKEN.' : undefined);
        const [, operator, value] = /^([a-z]+)\.(.*)$/s.exec(text.replace(/^not\.is\.null$/, 'is.not_null')) ?? [];
        if (!Object.hasOwn(OPERATORS, operator ?? '')) throw invalid('invalid_filter', `Column "${column}" needs an operator: ${Object.keys(OPERATORS).join(', ')}.`, UNKNOWN.test(text) ? undefined : `${column}=${known.type === 'taskapi.cursor' ? 'gt' : 'eq'}.${text}`);
        if (found.some((c) => c.column === column && c.operator === operator)) throw invalid('invalid_filter', `Column "${column}" has ${operator} twice.`);
        if (operator === 'is' && !/^(null|not_null|true|false|unknown)$/i.test(value)) throw invalid('invalid_filter', 'is. needs null, not_null, true, false or unknown.');
        found.push({ column, operator, value: operator === 'in' ? elements(value) : operator.endsWith('like') ? value.replaceAll('*', '%') : value });
    }
    return found;
}

// The columns of the answer, in the order that is asked for.
function selection(resource, query) {
    const text = query.get('select');
    if (!text || text === '*') return resource.visible;
    const wanted = namesIn(text).flatMap((name) => (name === '*' ? resource.visible : name));
    for (const name of wanted) {
        if (!resource.byName.get(name)?.readable) throw invalid('invalid_value', `${resource.name} have no column "${name}".`, /[(:]/.test(name) ? 'Related resources and aliases are not served here.' : undefined);
    }
    return [...new Set(wanted)];
}

// The conditions as the filter of taskapi.page(), { column: { operator: value } }, written as text since numbers lose digits on their way
// through JavaScript. A value is a string, which the column's type reads; of a column of JSON it is JSON itself.
function filterOf(resource, filter) {
    const columns = new Map(), text = JSON.stringify;
    for (const { column, operator, value } of filter) {
        const json = /^jsonb?$/.test(resource.byName.get(column).base) && operator !== 'is';
        const write = (v) => {
            if (!json) return text(v);
            try { JSON.parse(v); } catch { throw invalid('invalid_filter', `Operator "${operator}" of column "${column}" takes JSON.`, `${column}=${operator}.{"a":1}`); }
            return v;
        };
        columns.set(column, [...(columns.get(column) ?? []), `${text(operator)}:${Array.isArray(value) ? `[${value.map(write)}]` : write(value)}`]);
    }
    return columns.size ? `{${[...columns].map(([column, terms]) => `${text(column)}:{${terms}}`)}}` : null;
}

function pageSize(query) {
    const text = query.get('page_size') ?? query.get('limit');
    if (text === null) return null;
    if (!/^\d{1,9}$/.test(text)) throw invalid('invalid_page_size', 'It is a whole number that is not negative.');
    return text;
}

module.exports = { OPERATORS, target, namesIn, conditions, filterOf, selection, pageSize };
