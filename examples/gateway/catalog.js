// What there is to serve: the views of the API's schema, with what taskapi.resources knows of them, and its functions. It is read
// as the API's role and as the anonymous one, so what neither may use is not there; per request the database decides.
'use strict';
const { ask } = require('./database.js');
const functionsOf = require('./modules/signatures.js');
const { offer, methodsOf, SERVED, OFFERED } = require('./modules/offers.js');
const readSettings = require('./modules/settings.js');
const config = require('./config.js');

// Of the view of the deleted rows, taskapi.resources tells in the row of the live ones.
const VIEWS = `
    WITH known AS MATERIALIZED (SELECT * FROM taskapi.resources WHERE api_schema = $1)
    SELECT c.relname AS name, obj_description(c.oid, 'pg_class') AS description, k.resource AS live,
           k.key_columns::text[] AS key, CASE WHEN k.deleted_resource = c.relname THEN k.deleted_order_by ELSE k.order_by END AS order_by,
           k.parents, k.columns AS described, k.actions, k.idempotent, k.versioned, has_table_privilege(c.oid, 'DELETE') AS deletes,
           (SELECT json_agg(json_build_object('name', a.attname, 'type', format_type(a.atttypid, NULL), 'base', (
                WITH RECURSIVE d AS (SELECT a.atttypid AS oid, t.typbasetype AS of FROM pg_type t WHERE t.oid = a.atttypid
                     UNION ALL SELECT d.of, t.typbasetype FROM d JOIN pg_type t ON t.oid = d.of)
                SELECT format_type(d.oid, NULL) FROM d WHERE d.of = 0), 'description', col_description(c.oid, a.attnum),
                'readable', has_column_privilege(c.oid, a.attnum, 'SELECT'), 'insertable', has_column_privilege(c.oid, a.attnum, 'INSERT'),
                'updatable', has_column_privilege(c.oid, a.attnum, 'UPDATE')) ORDER BY a.attnum)
            FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped) AS columns
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    LEFT JOIN known k ON c.relname IN (k.resource, k.deleted_resource)
    WHERE n.nspname = $1 AND c.relkind IN ('r', 'v', 'm', 'f', 'p') AND has_schema_privilege(n.oid, 'USAGE')
      AND (has_any_column_privilege(c.oid, 'SELECT') OR has_any_column_privilege(c.oid, 'INSERT'))
    ORDER BY 1`;

const catalog = { resources: new Map(), functions: new Map(), version: 0 };

function prepareResource(row) {
    const described = new Map((row.described ?? []).map((c) => [c.name, c]));
    const resource = { ...row, trash: row.live !== null && row.live !== row.name, columns: row.columns.map((c) => ({ ...described.get(c.name), ...c })) };
    resource.byName = new Map(resource.columns.map((c) => [c.name, c]));
    if (!resource.key) resource.key = resource.byName.has('id') ? ['id'] : [];
    resource.visible = resource.columns.filter((c) => c.readable).map((c) => c.name);
    resource.methods = methodsOf(resource, SERVED);
    resource.offered = methodsOf(resource, OFFERED);
    resource.children = new Map();
    return resource;
}

// What the API's role or the anonymous one may do. The columns that are shown are the API role's, if it reads any.
const ROLES = [...new Set([config.apiRole, config.anonymousRole])];
async function readViews() {
    const [own, other = []] = await Promise.all(ROLES.map((role) => ask(role, VIEWS, [config.schema])));
    const found = new Map(own.map((row) => [row.name, offer(row)]));
    for (const row of other.map(offer)) {
        const known = found.get(row.name);
        if (!known) { found.set(row.name, row); continue; }
        const reads = known.columns.some((c) => c.readable);
        const theirs = new Map(row.columns.map((c) => [c.name, c]));
        for (const c of known.columns) {
            const also = theirs.get(c.name) ?? {};
            if (!reads) c.readable = also.readable ?? false;
            for (const kind of ['insertable', 'updatable', 'creates', 'changes']) c[kind] ||= also[kind] ?? false;
        }
        known.deletes ||= row.deletes;
        known.removes ||= row.removes;
        for (const [key, value] of Object.entries(row)) known[key] ??= value;
    }
    return [...found.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
}
async function readFunctions() {
    const found = await Promise.all(ROLES.map((role) => functionsOf(role)));
    return [...new Map(found.flat().map((f) => [f.oid, f])).values()];
}

// A child is reached through its parent, /projects/ID/tasks, if one foreign key alone leads from it to the parent's key.
function addChildren(resources) {
    for (const child of resources.values()) {
        const links = (child.parents ?? []).filter((p) => p.api_schema === config.schema && resources.has(p.resource));
        for (const link of links) {
            const parent = resources.get(link.resource);
            const only = links.filter((l) => l.resource === link.resource).length === 1;
            const columns = parent.key.map((k) => link.columns[link.references.indexOf(k)]);
            if (only && columns.length === link.columns.length && columns.every(Boolean)) parent.children.set(child.name, columns);
        }
    }
}

async function read() {
    const resources = new Map((await readViews()).map((row) => [row.name, prepareResource(row)]));
    const functions = new Map();
    for (const f of await readFunctions()) {
        if (f.computes) resources.get(f.computes)?.byName.set(f.name, { name: f.name, type: f.type, readable: true });
        else functions.set(f.name, [...(functions.get(f.name) ?? []), f]);
    }
    addChildren(resources);
    for (const trash of resources.values()) if (trash.trash && resources.has(trash.live)) resources.get(trash.live).bin = trash;
    await readSettings();
    Object.assign(catalog, { resources, functions, version: catalog.version + 1 });
}

// One reading at a time; if others are asked for meanwhile, one more.
let reading, again = false;
async function readAll() {
    do { again = false; await read(); } while (again);
}
function reread() {
    again = true;
    return (reading ??= readAll().finally(() => { reading = undefined; }));
}

module.exports = { catalog, reread };
