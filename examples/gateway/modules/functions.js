// Functions of the API's schema: GET and POST /rpc/my_tasks.
'use strict';
const { transaction } = require('../database.js');
const { Problem, notFound } = require('../problem.js');
const { catalog } = require('../catalog.js');
const { selection } = require('../request.js');
const { name, arrayLiteral, rowOf, Statement, headersOf } = require('../statement.js');
const body = require('./body.js');
const config = require('../config.js');

// Of a VARIADIC argument ?a=1&a=2 are the elements, and ?a={1,2} is all of them.
const elements = (values) => (values.length === 1 && values[0].startsWith('{') ? values[0] : arrayLiteral(values));

// Arguments by name, from the query or from a JSON object. Of several functions of one name the first that takes them. Of one that answers with
// rows of a resource "select" chooses columns, computed ones too, unless it is an argument's name.
async function call({ functions, name: called }, request) {
    const safe = request.method !== 'POST', { text, rows: [args] } = safe ? { rows: [Object.fromEntries(request.query)] } : await body(request.stream, { onlyObject: true });
    const resource = functions.map((f) => catalog.resources.get(f.rows_of)).find(Boolean), taken = functions.some((f) => f.arguments.some((a) => a.name === 'select'));
    const selects = Boolean(resource && !taken && request.query.get('select'));
    if (selects && safe) delete args.select;
    const fits = functions.find((f) => Object.keys(args).every((a) => f.arguments.some((p) => p.name === a)) && f.arguments.every((p) => p.optional || Object.hasOwn(args, p.name)));
    if (!fits) throw notFound(`No function ${called} takes these arguments.`);
    if (safe && fits.writes) throw new Problem(405, 'method_not_allowed', 'method is not allowed', undefined, { Allow: 'POST, OPTIONS' });
    const statement = new Statement(), given = fits.arguments.filter((p) => Object.hasOwn(args, p.name));
    const value = (p) => (safe ? `${statement.bind(p.variadic ? elements(request.query.getAll(p.name)) : args[p.name])}::${p.type}` : `(SELECT a.${name(p.name)} FROM a)`);
    const passed = fits.arguments.filter((p) => p.variadic || given.includes(p)).map((p) => `${p.variadic ? 'VARIADIC ' : ''}${name(p.name)} => ${given.includes(p) ? value(p) : "'{}'"}`).join(', ');
    const record = safe || !given.length ? '' : `WITH a AS (SELECT * FROM json_to_record(${statement.bind(text)}) AS a(${given.map((p) => `${name(p.name)} ${p.type}`).join(', ')})) `;
    const source = `${name(config.schema)}.${name(called)}(${passed})`;
    const answer = await transaction(request, statement.of(fits.row ? `${record}SELECT ${selects ? rowOf(selection(resource, request.query)) : 'row_to_json(r)::text'} FROM ${source} AS r` : `${record}SELECT to_json(r.value)::text FROM ${source} AS r(value)`));
    const values = answer.rows.map(([value]) => value ?? 'null'), headers = headersOf(answer);
    if (fits.void) return { status: answer.status ?? 204, headers, body: '' };
    return { status: answer.status ?? 200, headers, body: fits.many ? `[${values}]` : values[0] ?? 'null' };
}

module.exports = call;
