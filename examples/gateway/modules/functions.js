// Functions of the API's schema: GET and POST /rpc/my_tasks.
'use strict';
const { ask, transaction } = require('../database.js');
const { Problem, notFound } = require('../problem.js');
const body = require('./body.js');
const { name, Statement, headersOf } = require('../statement.js');
const config = require('../config.js');

// Without triggers. A function of one row of a view computes a column of it: "computes" names that view.
const FUNCTIONS = `
    SELECT p.oid::int8, p.proname AS name, obj_description(p.oid, 'pg_proc') AS description, p.provolatile = 'v' AS writes, p.proretset AS many,
           p.prorettype = 'void'::regtype AS void, t.typtype = 'c' OR p.prorettype = 'record'::regtype AS row,
           format_type(p.prorettype, NULL) AS type, (SELECT v.relname FROM pg_type a JOIN pg_class v ON v.oid = a.typrelid AND v.relnamespace = n.oid
                WHERE p.pronargs = 1 AND a.oid = p.proargtypes[0]) AS computes,
           (SELECT coalesce(json_agg(json_build_object('name', a.name, 'type', format_type(p.proargtypes[a.i - 1], NULL),
                'optional', a.i > p.pronargs - p.pronargdefaults) ORDER BY a.i), '[]')
            FROM (SELECT n.name, row_number() OVER (ORDER BY n.place) AS i FROM unnest(p.proargnames, p.proargmodes) WITH ORDINALITY n(name, mode, place)
                  WHERE coalesce(n.mode, 'i') IN ('i', 'b', 'v')) a) AS arguments
    FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace JOIN pg_type t ON t.oid = p.prorettype
    WHERE n.nspname = $1 AND p.prokind = 'f' AND p.prorettype <> 'trigger'::regtype AND has_function_privilege(p.oid, 'EXECUTE')
      AND (p.pronargs = 0 OR p.proargnames IS NOT NULL)
    ORDER BY 1, p.oid`;

const functionsOf = (role) => ask(role, FUNCTIONS, [config.schema]);

// Arguments by name, from the query or from a JSON object. Of several functions of one name the first that takes them.
async function call({ functions, name: called }, request) {
    const safe = request.method !== 'POST', { text, rows: [args] } = safe ? { rows: [Object.fromEntries(request.query)] } : await body(request.stream, { onlyObject: true });
    const fits = functions.find((f) => Object.keys(args).every((a) => f.arguments.some((p) => p.name === a)) && f.arguments.every((p) => p.optional || Object.hasOwn(args, p.name)));
    if (!fits) throw notFound(`No function ${called} takes these arguments.`);
    if (safe && fits.writes) throw new Problem(405, 'method_not_allowed', 'method is not allowed', undefined, { Allow: 'POST, OPTIONS' });
    const statement = new Statement(), given = fits.arguments.filter((p) => Object.hasOwn(args, p.name));
    const passed = given.map((p) => `${name(p.name)} => ${safe ? `${statement.bind(args[p.name])}::${p.type}` : `(SELECT a.${name(p.name)} FROM a)`}`).join(', ');
    const record = safe || !given.length ? '' : `WITH a AS (SELECT * FROM json_to_record(${statement.bind(text)}) AS a(${given.map((p) => `${name(p.name)} ${p.type}`).join(', ')})) `;
    const source = `${name(config.schema)}.${name(called)}(${passed})`;
    const answer = await transaction(request, statement.of(fits.row ? `${record}SELECT row_to_json(r)::text FROM ${source} AS r` : `${record}SELECT to_json(r.value)::text FROM ${source} AS r(value)`));
    const values = answer.rows.map(([value]) => value ?? 'null'), headers = headersOf(answer);
    if (fits.void) return { status: answer.status ?? 204, headers, body: '' };
    return { status: answer.status ?? 200, headers, body: fits.many ? `[${values}]` : values[0] ?? 'null' };
}

module.exports = { functionsOf, call };
