// What functions the API's schema has, as far as a role may call them.
'use strict';
const { ask } = require('../database.js');
const config = require('../config.js');

// Without triggers, and those of which a call by names and values does not tell the types: polymorphic ones, and those that return a record
// without columns. A function of one row of a view computes a column of it: "computes" names that view. "rows_of" names that whose rows a
// function answers with.
const FUNCTIONS = `
    SELECT p.oid::int8, p.proname AS name, obj_description(p.oid, 'pg_proc') AS description, p.provolatile = 'v' AS writes, p.proretset AS many,
           p.prorettype = 'void'::regtype AS void, t.typtype = 'c' OR p.prorettype = 'record'::regtype AS row,
           format_type(p.prorettype, NULL) AS type, (SELECT v.relname FROM pg_type a JOIN pg_class v ON v.oid = a.typrelid AND v.relnamespace = n.oid
                WHERE p.pronargs = 1 AND a.oid = p.proargtypes[0]) AS computes,
           (SELECT v.relname FROM pg_class v WHERE v.oid = t.typrelid AND v.relnamespace = n.oid) AS rows_of,
           (SELECT coalesce(json_agg(json_build_object('name', a.name, 'type', format_type(p.proargtypes[a.i - 1], NULL),
                'variadic', a.mode = 'v', 'optional', a.mode = 'v' OR a.i > p.pronargs - p.pronargdefaults) ORDER BY a.i), '[]')
            FROM (SELECT n.name, coalesce(n.mode, 'i') AS mode, row_number() OVER (ORDER BY n.place) AS i FROM unnest(p.proargnames, p.proargmodes) WITH ORDINALITY n(name, mode, place)
                  WHERE coalesce(n.mode, 'i') IN ('i', 'b', 'v')) a) AS arguments
    FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace JOIN pg_type t ON t.oid = p.prorettype
    WHERE n.nspname = $1 AND p.prokind = 'f' AND p.prorettype <> 'trigger'::regtype AND has_function_privilege(p.oid, 'EXECUTE')
      AND (p.pronargs = 0 OR p.proargnames IS NOT NULL) AND (p.prorettype <> 'record'::regtype OR p.proargmodes && '{o,b,t}'::"char"[])
      AND NOT EXISTS (SELECT FROM pg_type a WHERE a.oid = ANY (p.proargtypes) AND a.typtype = 'p')
    ORDER BY 1, p.oid`;

const functionsOf = (role) => ask(role, FUNCTIONS, [config.schema]);

module.exports = functionsOf;
