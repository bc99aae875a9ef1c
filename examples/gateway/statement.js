// The parts of a statement, and of what comes back with its answer.
'use strict';
const { sent } = require('./problem.js');
const config = require('./config.js');

const name = (text) => `"${text.replaceAll('"', '""')}"`;
const arrayLiteral = (values) => `{${values.map((v) => `"${v.replace(/["\\]/g, '\\$&')}"`).join(',')}}`;
const view = (resource) => `${name(config.schema)}.${name(resource.name)}`;
// A row as JSON, made once for the columns that a resource shows.
const texts = new WeakMap();
function rowOf(columns) {
    if (!texts.has(columns)) texts.set(columns, `(SELECT row_to_json(x)::text FROM (SELECT ${columns.map((c) => `r.${name(c)}`).join(', ')}) x)`);
    return texts.get(columns);
}

// A statement in the making: bind() adds a value and gives its place.
class Statement {
    constructor() { this.values = []; }
    bind(value) { return `$${this.values.push(value)}`; }
    of(text) { return { text, values: this.values }; }
}

// The headers that the database set, by their names in lower case. A cookie each has a line of its own.
function headersOf(answer, own = {}) {
    const headers = {};
    for (const pair of answer.headers) {
        for (const [key, value] of Object.entries(pair)) {
            const lower = key.toLowerCase(), bytes = sent(lower, value);
            headers[lower] = lower === 'set-cookie' ? [...(headers[lower] ?? []), bytes] : bytes;
        }
    }
    for (const [key, value] of Object.entries(own)) if (value !== undefined) headers[key.toLowerCase()] = value;
    return headers;
}

module.exports = { name, arrayLiteral, view, rowOf, Statement, headersOf };
