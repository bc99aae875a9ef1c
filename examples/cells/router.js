#!/usr/bin/env node
// One API over several cells: CELLS='{"a": {"url": "http://...", "db": "postgres://..."}, ...}' PORT=8000 node router.js
// The first cell is the home of accounts, credentials and functions. A cell's url is its gateway, its db is for cells.map and cells.epoch.
//
//   GET /tasks             of all cells, merged by their cursors: each row once, while projects move
//   POST /tasks            where the project of the body is, or the row that it hangs on; POST /projects anywhere, the same for each try of it
//   /projects/ID/...       where that project is
//   /tasks/ID              where the row is found
//   accounts, credentials  the home
//   X-Cell: b              that cell, whatever it is: a function that reads projects answers for one
'use strict';
const http = require('node:http');
const crypto = require('node:crypto');
const { Pool } = require('pg');
const cells = Object.entries(JSON.parse(process.env.CELLS)).map(([name, { url, db }]) => ({ name, url, pool: new Pool({ connectionString: db, max: 4, application_name: 'router' }) }));
cells.forEach(({ pool }) => pool.on('error', () => {}).on('connect', (client) => client.on('error', () => {})));
const home = cells[0], ATTEMPTS = 10;
const HOME_FUNCTIONS = new Set((process.env.HOME_FUNCTIONS ?? 'confirm_email request_email_verification request_password_reset reset_password').split(' '));
const ask = async (cell, text, values = []) => (await cell.pool.query(text, values)).rows;

// created_at DESC, id DESC as created_at.desc,id.desc
const orderOf = (text) => text.split(/,\s*/).map((term) => term.toLowerCase().replaceAll('"', '').replace(/ nulls (first|last)/, '.nulls$1').replace(' ', '.')).join(',');

// The resources whose rows belong to a project, with their key, their order, and the cursors of other orders: columns of the type that
// functions of a row compute, which a list is ordered by under their names.
const resources = new Map();
const others = new Set();    // other relations whose rows belong to a project
async function readResources() {
    const found = await ask(home, `SELECT r.resource, r.key_columns::text[], r.parents, r.order_by, r.cursor_column, r.deleted_resource, r.deleted_order_by,
            (SELECT coalesce(array_agg(p.proname::text ORDER BY p.proname), '{}') FROM pg_proc p JOIN pg_type t ON p.pronargs = 1 AND t.oid = p.proargtypes[0] JOIN pg_class c ON c.oid = t.typrelid
             WHERE c.relname = r.resource AND c.relnamespace = p.pronamespace AND p.pronamespace = r.api_schema::regnamespace AND p.prorettype = 'taskapi.cursor'::regtype) AS cursors
        FROM taskapi.resources r
        WHERE r.resource = 'projects' OR EXISTS (SELECT FROM json_array_elements(to_json(r.columns)) c WHERE c ->> 'name' = 'project_id')`);
    for (const r of found) {
        resources.set(r.resource, { key: r.key_columns, parents: r.parents ?? [], order: orderOf(r.order_by), cursor: r.cursor_column, cursors: r.cursors });
        if (r.deleted_resource) resources.set(r.deleted_resource, { key: r.key_columns, parents: [], order: orderOf(r.deleted_order_by), cursor: r.cursor_column, cursors: [] });
    }
    const relations = await ask(home, `SELECT c.relname FROM taskapi.resources r JOIN pg_class c ON c.relnamespace = r.api_schema::regnamespace
            JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'project_id' AND NOT a.attisdropped WHERE r.resource = 'projects'`);
    for (const { relname } of relations) if (!resources.has(relname)) others.add(relname);
}

const epochs = async () => JSON.stringify(await Promise.all(cells.map((cell) => ask(cell, 'SELECT n FROM cells.epoch'))));

// What all cells say, as of one moment: no project came or went while they were asked. A row is in two of them while its project moves,
// and never in none.
async function consistent(work) {
    for (let attempt = 1; ; attempt++) {
        const before = await epochs(), result = await work();
        if (before === await epochs()) return result;
        if (attempt === ATTEMPTS) throw Object.assign(new Error('projects move all the time'), { status: 503 });
    }
}

const HOP = new Set(['connection', 'keep-alive', 'transfer-encoding', 'content-length', 'host', 'expect']);
function send(cell, request, path = request.path) {
    const headers = Object.fromEntries(Object.entries(request.headers).filter(([name]) => !HOP.has(name)));
    headers['x-forwarded-for'] = [headers['x-forwarded-for'], request.address].filter(Boolean).join(', ');
    headers['x-forwarded-host'] = request.headers.host;
    return new Promise((resolve, reject) => {
        const out = http.request(cell.url + path, { method: request.method, headers: { ...headers, host: request.headers.host, ...(request.body.length && { 'content-length': request.body.length }) } }, (answer) => {
            const chunks = [];
            answer.on('data', (chunk) => chunks.push(chunk));
            answer.on('end', () => resolve({ status: answer.statusCode, headers: answer.headers, body: Buffer.concat(chunks) }));
            answer.on('error', reject);
        });
        out.setTimeout(60000, () => out.destroy(new Error('timeout')));
        out.on('error', reject);
        out.end(request.body);
    });
}

// The cells of a project, that which is leaving it first: it has the rows until the other one has.
async function cellsOf(project) {
    const states = await Promise.all(cells.map((cell) => ask(cell, 'SELECT state FROM cells.map WHERE cell = $1 AND project_id = $2', [cell.name, project]).catch(() => [])));
    return cells.filter((_, i) => states[i].length);
}

// JSON whose numbers keep their digits: one that JavaScript would write otherwise is kept as it came, as text behind \u0000, and so is a string
// with that character, which a column of type json may have.
const TOKENS = /"(?:[^"\\]+|\\.)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g;
const same = (token) => (token[0] === '"' ? !token.includes('\\u0000') : String(Number(token)) === token);
const parse = (json) => JSON.parse(json.replace(TOKENS, (token) => (same(token) ? token : JSON.stringify(`\0${token}`))));
const write = (value) => JSON.stringify(value).replace(/"\\u0000((?:[^"\\]+|\\.)*)"/g, (_, token) => JSON.parse(`"${token}"`));

// The cursor tells the order, so it is asked for, and the key; what the client did not ask for goes again.
async function list(resource, request, url) {
    const query = new URLSearchParams(url.search), limit = Number(query.get('limit') ?? 50), order = query.get('order') ?? resource.order;
    const cursor = order === resource.order ? resource.cursor : resource.cursors.includes(order) ? order : undefined;
    if (!Number.isInteger(limit) || limit < 0 || !cursor) throw Object.assign(new Error(`over cells the order is one of: ${[resource.order, ...resource.cursors].join(' ')}`), { status: 400 });
    query.set('order', order);
    query.set('limit', limit);
    const asked = new URLSearchParams(query), names = (query.get('select') || '*').split(',');
    const added = [cursor, ...resource.key].filter((name) => !names.includes(name) && !(names.includes('*') && !resource.cursors.includes(name)));
    query.set('select', [...names, ...added]);
    const answers = await consistent(() => Promise.all(cells.map((cell) => send(cell, request, `${url.pathname}?${query}`))));
    const refused = answers.find((answer) => answer.status !== 200);
    if (refused) return refused;
    const seen = new Set(), rows = answers.flatMap((answer) => parse(answer.body.toString())).filter((row) => {
        const key = JSON.stringify(resource.key.map((column) => row[column]));
        return !seen.has(key) && seen.add(key);
    });
    // the database compares cursors as it does in a page, whatever their types and collations
    const sorted = await ask(home, 'SELECT (o - 1)::int AS at FROM unnest($1::text[]) WITH ORDINALITY AS c (token, o) ORDER BY c.token::taskapi.cursor LIMIT $2', [rows.map((row) => row[cursor]), limit]);
    const page = sorted.map(({ at }) => rows[at]), headers = { ...answers[0].headers };
    for (const name of ['content-length', 'etag', 'link', 'content-range']) delete headers[name];
    if (page.length === limit && limit > 0) {
        asked.set(cursor, `gt.${page.at(-1)[cursor]}`);
        headers.link = `<?${asked}>; rel="next"`;
    }
    for (const row of page) for (const name of added) delete row[name];
    return { status: 200, headers, body: Buffer.from(write(page)) };
}

// One row, a write to it, or a new row that hangs on it: the cell that shows it to the caller.
async function row(request, path) {
    const { 'if-match': _, 'if-none-match': __, 'idempotency-key': ___, prefer: ____, ...headers } = request.headers;
    const look = { ...request, method: 'GET', headers, body: Buffer.alloc(0) };
    const [found] = await consistent(async () => {
        const answers = await Promise.all(cells.map((cell) => send(cell, look, path)));
        return cells.filter((_, i) => answers[i].status !== 404);
    });
    if (found) return send(found, request);
    // a PUT may make it, where its project is; a DELETE that is repeated with its key is answered where it was done
    const project = request.method === 'PUT' ? JSON.parse(request.body).project_id : undefined;
    if (project) return inProject(project, request);
    let answer;
    for (const cell of cells) {
        answer = await send(cell, request);
        if (answer.status < 400) break;
    }
    return answer;
}

// The path of a row that a new one hangs on, as a comment on its task.
function parentOf(resource, body) {
    for (const { resource: name, columns, references } of resource.parents) {
        const key = resources.get(name)?.key.map((column) => body[columns[references.indexOf(column)]]);
        if (key?.every((value) => value !== undefined && value !== null)) return `/${name}/${key.map(encodeURIComponent)}`;
    }
    throw Object.assign(new Error('over cells a POST names its project, or a row of one'), { status: 400 });
}

async function inProject(project, request) {
    const [cell] = await consistent(() => cellsOf(project));
    return send(cell ?? home, request);
}

async function route(request) {
    const url = new URL(request.path, 'http://router'), [, name, key, child] = url.pathname.split('/');
    // /users/ID/tasks: the parent is in each cell, the rows are not
    const across = !resources.has(name) && resources.has(child), resource = resources.get(across ? child : name);
    if (request.headers['x-cell'] !== undefined) {
        const cell = cells.find((c) => c.name === request.headers['x-cell']);
        if (!cell) throw Object.assign(new Error(`X-Cell is one of: ${cells.map((c) => c.name).join(' ')}`), { status: 400 });
        return send(cell, request);
    }
    if (!resource) {
        if (others.has(name) || (name === 'rpc' && !HOME_FUNCTIONS.has(key))) {
            throw Object.assign(new Error(`${url.pathname} answers for one cell. X-Cell says which: ${cells.map((c) => c.name).join(' ')}`), { status: 400 });
        }
        return send(home, request);
    }
    if (across || key === undefined || key === '') {
        if (request.method === 'GET' || request.method === 'HEAD') return list(resource, request, url);
        if (request.method !== 'POST') throw Object.assign(new Error('over cells a write names its row by its path'), { status: 405 });
        if (name === 'projects') {
            const place = crypto.createHash('sha256').update(request.headers['idempotency-key'] ?? crypto.randomUUID()).digest().readUInt32BE();
            return send(cells[place % cells.length], request);
        }
        const rows = [JSON.parse(request.body)].flat(), projects = new Set(rows.map((r) => r.project_id));
        if (projects.size !== 1) throw Object.assign(new Error('over cells the rows of a POST are of one project'), { status: 400 });
        const [project] = projects;
        return project ? inProject(project, request) : row(request, parentOf(resource, rows[0]));
    }
    if (name === 'projects') return inProject(key, request);
    if (resource.key[0] === 'project_id' && key.includes(',')) return inProject(key.split(',')[0], request);
    return row(request, `/${name}/${key}`);
}

const server = http.createServer(async (req, res) => {
    try {
        const chunks = [];
        for await (const chunk of req) chunks.push(chunk);
        const answer = await route({ method: req.method, path: req.url, headers: req.headers, body: Buffer.concat(chunks), address: req.socket.remoteAddress });
        const headers = Object.fromEntries(Object.entries(answer.headers).filter(([name]) => !HOP.has(name)));
        res.writeHead(answer.status, headers).end(req.method === 'HEAD' ? undefined : answer.body);
    } catch (error) {
        const status = error.status ?? (error instanceof SyntaxError ? 400 : 503);
        res.writeHead(status, { 'content-type': 'application/problem+json', ...(status === 503 && { 'retry-after': '1' }) });
        res.end(JSON.stringify({ status, code: status === 503 ? 'try_again' : 'bad_request', message: error.message }));
    }
// asked for while there is one: a connection that is reset has none, and the last word of X-Forwarded-For would be the client's
}).on('connection', (socket) => { if (!socket.remoteAddress) socket.destroy(); });

// not before it knows which resources belong to projects: it would take what it does not know for the home's
readResources().then(() => server.listen(Number(process.env.PORT ?? 8000), '127.0.0.1', () => {
    console.log(JSON.stringify({ message: 'listening', port: server.address().port, resources: [...resources.keys()] }));
}), (error) => { console.error(error.message); process.exit(1); });
