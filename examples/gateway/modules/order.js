// The order of a list. A walk by cursor is right only in the order of the cursor, so a list has that order unless the client says another,
// and another one beside a cursor is refused.
'use strict';
const { Problem, invalid } = require('../problem.js');
const { name } = require('../statement.js');

// due_date.desc.nullslast,id as PostgREST's clients write it, or due_date DESC NULLS LAST, id as SQL does, as terms; undefined if it is neither.
const TERM = /\s*(?:"((?:[^"]|"")+)"|([^\s,".]+))(?:(?:\s+|\.)(asc|desc))?(?:(?:\s+nulls\s+|\.nulls)(first|last))?\s*(,|$)/iy;
function parse(text) {
    const terms = [];
    TERM.lastIndex = 0;
    for (let m; (m = TERM.exec(text)); ) {
        const [, quoted, plain, direction, nulls, end] = m, descending = direction?.toLowerCase() === 'desc';
        terms.push({ column: quoted?.replaceAll('""', '"') ?? plain, quoted: quoted !== undefined, descending, first: nulls ? nulls.toLowerCase() === 'first' : descending });
        if (!end) return terms;
    }
    return undefined;
}

// A name is a column's as it is written, in lower case if there is none of the kind.
const resolve = (resource, terms) => terms.map((t) => (t.quoted || resource.byName.has(t.column) ? t : { ...t, column: t.column.toLowerCase() }));
const reversed = (terms) => terms.map((t) => ({ ...t, descending: !t.descending, first: !t.first }));
const termOf = (column, descending = false) => ({ column, descending, first: descending });
const spelling = (terms) => terms.map((t) => `${t.column}${t.descending ? '.desc' : ''}${t.first === t.descending ? '' : t.first ? '.nullsfirst' : '.nullslast'}`).join(',');
const sql = (terms, prefix = '') => terms.map((t) => `${prefix}${name(t.column)}${t.descending ? ' DESC' : ''}${t.first === t.descending ? '' : ` NULLS ${t.first ? 'FIRST' : 'LAST'}`}`).join(', ');

// For taskapi.page(): names are quoted, and what is no order is its to refuse.
function orderFor(resource, query) {
    const text = query.get('order'), terms = text && parse(text);
    return terms ? sql(resolve(resource, terms)) : text || resource.order_by;
}

const namesOf = (resource, query) => resolve(resource, parse(query.get('order') ?? '') ?? []).map((t) => t.column);

// Whether rows that are sorted by the terms are sorted by "order" as well.
const sorts = (resource, terms, order) => order.every((o, i) => terms[i]?.column === o.column && terms[i].descending === o.descending &&
    (terms[i].first === o.first || resource.byName.get(o.column).nullable === false));

// ORDER BY of a statement of the gateway's own. gt. leads forward in the order of the cursor and lt. backward; a client that names an order
// may walk either way, from one end or within two cursors.
function ordering(resource, query, filter) {
    const readable = ({ column }) => resource.byName.get(column)?.readable, text = query.get('order');
    let terms = text ? parse(text) : [];
    if (!terms) throw invalid('invalid_order_by', `What is "${text}"?`, 'order=created_at.desc,id');
    terms = resolve(resource, terms);
    for (const t of terms) if (!readable(t)) throw invalid('invalid_order_by', `${resource.name} have no column "${t.column}".`);

    const own = parse(resource.order_by ?? '') ?? [];
    const home = own.every(readable) ? own : [termOf('cursor')].filter(readable);
    for (const { column, operator } of filter) {
        if (resource.byName.get(column).type !== 'taskapi.cursor' || !/^[gl]te?$/.test(operator)) continue;
        const order = column === 'cursor' && home.length ? home : [termOf(column)], wanted = operator.startsWith('g') ? order : reversed(order);
        if (!terms.length) terms = wanted;
        const fits = [order, reversed(order), [termOf(column)], [termOf(column, true)]].some((o) => sorts(resource, terms, o));
        if (!fits) throw new Problem(400, 'cursor_mismatch', 'cursor belongs to another query', `The order of ${column}=${operator}. is ${spelling(wanted)}.`, {}, `order=${spelling(wanted)}`);
    }
    if (!terms.length) terms = home;
    return terms.length ? ` ORDER BY ${sql(terms, 'r.')}` : '';
}

module.exports = { orderFor, namesOf, ordering };
