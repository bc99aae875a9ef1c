// What clients of PostgREST say otherwise: the key of a row in the query, an order with its own words, and Prefer.
'use strict';
const { invalid } = require('../problem.js');
const { conditions } = require('../request.js');

// The key as PostgREST's clients write it: ?id=eq.ID
function keyIn(resource, query) {
    const filter = conditions(resource, query), found = new Map(filter.filter((c) => c.operator === 'eq').map((c) => [c.column, c.value]));
    if (filter.length !== resource.key.length || !resource.key.every((k) => found.has(k))) throw invalid('invalid_filter', `PUT names one row, by ${resource.key}.`);
    return found;
}

// due_date.desc.nullslast,id as ORDER BY.
function ordering(resource, query) {
    const terms = (query.get('order') ?? '').split(',').filter(Boolean).map((term) => {
        const [, column, direction, nulls] = /^([^.]+)(?:\.(asc|desc))?(?:\.nulls(first|last))?$/.exec(term) ?? [];
        if (!resource.byName.get(column)?.readable) throw invalid('invalid_order_by', `What is "${term}"?`);
        return `r."${column.replaceAll('"', '""')}"${direction ? ` ${direction}` : ''}${nulls ? ` NULLS ${nulls}` : ''}`;
    });
    return terms.length ? ` ORDER BY ${terms.join(', ')}` : '';
}

// Prefer (RFC 7240): return=minimal, return=representation; undefined if neither.
const preferred = (headers) => /(?:^|[,;\s])return\s*=\s*"?(minimal|representation|headers-only)"?/i.exec(headers.prefer ?? '')?.[1].toLowerCase();

module.exports = { keyIn, ordering, preferred };
