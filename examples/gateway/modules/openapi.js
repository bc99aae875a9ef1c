// The OpenAPI 3.1 document: every path that request.js takes, with what the catalog knows of columns and functions. Made once for
// each reading of the catalog.
'use strict';
const crypto = require('node:crypto');
const { catalog } = require('../catalog.js');
const config = require('../config.js');

const integer = (format) => ({ type: 'integer', format });
const string = (format) => ({ type: 'string', format });
const TYPES = {
    smallint: integer('int32'), integer: integer('int32'), bigint: integer('int64'), real: { type: 'number' }, 'double precision': { type: 'number' }, numeric: { type: 'number' },
    boolean: { type: 'boolean' }, uuid: string('uuid'), date: string('date'), 'timestamp with time zone': string('date-time'), json: {}, jsonb: {},
};

function schemaOf(type, nullable = false) {
    const schema = type.endsWith('[]') ? { type: 'array', items: schemaOf(type.slice(0, -2)) } : { ...(TYPES[type] ?? string(undefined)) };
    if (nullable && schema.type) schema.type = [schema.type, 'null'];
    return schema;
}

// The name of a component has ASCII letters and digits, points and lines; of another character it has the number.
const component = (text) => text.replace(/[^\w.-]/gu, (c) => `_${c.codePointAt(0).toString(16)}`);
const ref = (kind, name) => ({ $ref: `#/components/${kind}/${component(name)}` });
const content = (schema, type = 'application/json') => ({ [type]: { schema } });
const done = (description, schema, headers) => ({ description, headers, ...(schema && { content: content(schema) }) });
const header = (description) => ({ description, schema: { type: 'string' } });
const HEADERS = {
    ETag: header('What If-Match and If-None-Match take'), Link: header('rel="next" and rel="prev"; the last page has no next'),
    'Content-Range': header('0-49/1234, or */1234: how many there are, if count was preferred'), Location: header('Where the row is'), 'Read-After': header('What a later read sends to see this write on a standby'), 'Idempotency-Replayed': header('true: the answer of before'),
};
const headers = (...names) => Object.fromEntries(names.map((n) => [n, ref('headers', n)]));
const parameter = (where, name, description, schema = { type: 'string' }) => ({ name, in: where, description, schema });

const PARAMETERS = {
    select: parameter('query', 'select', 'The columns of the answer: title,status'),
    order: parameter('query', 'order', 'Columns to sort by: due_date.desc.nullslast,id'),
    limit: parameter('query', 'limit', 'Rows of a page; without one, the default of the server', { type: 'integer', minimum: 0 }),
    page_token: parameter('query', 'page_token', 'From the Link of the page before'),
    filter: { ...parameter('query', 'filter', 'Conditions: column=operator.value, such as status=in.(todo,done); operators eq neq gt gte lt lte in is like ilike cs cd ov', { type: 'object', additionalProperties: { type: 'string' } }), style: 'form', explode: true },
    prefer: parameter('header', 'Prefer', 'return=minimal: no body; return=headers-only: Location; return=representation: the rows, as an array; count=exact or estimated: how many, in Content-Range; resolution=merge-duplicates or ignore-duplicates: POST of what is there already'),
    conflict: parameter('query', 'on_conflict', 'Whose duplicates Prefer: resolution is about; the key if it is left out'),
    key: parameter('header', 'Idempotency-Key', 'The same key, the same effect, the same answer', { type: 'string', minLength: 1, maxLength: 255 }),
    after: parameter('header', 'Read-After', 'That of a write, which this read is to see on any server; 503 if the server is behind'),
    match: parameter('header', 'If-Match', 'The ETag that the change is made from; 412 if there is another by now'),
    noneMatch: parameter('header', 'If-None-Match', 'The ETag that one has; 304 if it is the same'),
};
const use = (...names) => names.map((n) => ref('parameters', n));

const PROBLEM = {
    type: 'object', required: ['type', 'title', 'status', 'code', 'message'],
    properties: { type: string('uri'), title: string(), status: { type: 'integer' }, detail: string(), code: string(), message: string(), details: string(), hint: string() },
};

function schemasOf(resource) {
    const property = (c) => ({ ...schemaOf(c.base, c.nullable ?? !c.required), description: c.description ?? undefined });
    const shape = (columns, required) => ({
        type: 'object', description: resource.description ?? undefined, required: required.length ? required.map((c) => c.name) : undefined,
        properties: Object.fromEntries(columns.map((c) => [c.name, property(c)])),
    });
    const { columns } = resource, readable = columns.filter((c) => c.readable);
    const made = columns.filter((c) => !c.generated && c.creates), changed = columns.filter((c) => !c.generated && c.changes);
    return {
        [component(resource.name)]: shape(readable, readable),
        ...(resource.offered.collection.POST && { [component(`new_${resource.name}`)]: shape(made, made.filter((c) => c.required)) }),
        ...(resource.offered.row.PATCH && { [component(`changed_${resource.name}`)]: shape(changed, []) }),
    };
}

// The operations of a path, as far as the catalog has the method. "id" tells the paths of one resource apart.
function operationsOf(resource, kind, id, parameters) {
    const row = ref('schemas', resource.name), rows = { type: 'array', items: row }, given = ref('schemas', `new_${resource.name}`), changes = ref('schemas', `changed_${resource.name}`);
    const made = { required: true, content: content(kind === 'row' ? given : { oneOf: [given, { type: 'array', items: given }] }) };
    const change = { required: true, content: { ...content(changes, 'application/merge-patch+json'), ...content(changes) } };
    const all = {
        collection: {
            get: ['list', use('filter', 'select', 'order', 'limit', 'page_token', 'prefer', 'noneMatch', 'after'), undefined, { 200: done('A page', rows, headers('ETag', 'Link', 'Content-Range')), 304: done('Not modified') }],
            post: ['create', use('key', 'prefer', 'conflict', 'select'), made, { 201: done('Created', { oneOf: [row, rows] }, headers('ETag', 'Location', 'Idempotency-Replayed', 'Read-After')) }],
            patch: ['change_some', use('filter', 'key', 'match', 'prefer'), change, { 200: done('Changed', rows), 204: done('Changed') }],
            delete: ['delete_some', use('filter', 'match', 'prefer'), undefined, { 200: done('Deleted', rows), 204: done('Deleted') }],
        },
        row: {
            get: ['get', use('select', 'noneMatch', 'after'), undefined, { 200: done('The row', row, headers('ETag')), 304: done('Not modified') }],
            put: ['replace', use('match', 'noneMatch', 'prefer'), made, { 200: done('Replaced', row, headers('ETag')), 201: done('Created', row, headers('ETag', 'Location')) }],
            patch: ['change', use('key', 'match', 'prefer'), change, { 200: done('Changed', row, headers('ETag')), 204: done('Changed') }],
            delete: ['delete', use('match', 'prefer'), undefined, { 200: done('Deleted', row), 204: done('Deleted') }],
        },
    };
    const path = { parameters };
    for (const [method, [verb, own, requestBody, responses]] of Object.entries(all[kind])) {
        if (!resource.offered[kind][method.toUpperCase()]) continue;
        path[method] = { operationId: `${verb}_${id}`, summary: `${verb} ${id}`.replaceAll('_', ' '), tags: [resource.name], parameters: own, requestBody, responses: { ...responses, '4XX': ref('responses', 'problem'), '5XX': ref('responses', 'problem') } };
    }
    return path;
}

function functionOf(f) {
    const answer = { 200: done('The result', f.row && !f.many ? { type: 'object' } : f.many ? { type: 'array', items: {} } : {}), 204: done('Done'), '4XX': ref('responses', 'problem'), '5XX': ref('responses', 'problem') };
    const fields = Object.fromEntries(f.arguments.map((a) => [a.name, schemaOf(a.type)])), required = f.arguments.filter((a) => !a.optional).map((a) => a.name);
    const common = { tags: ['functions'], summary: f.name.replaceAll('_', ' '), description: f.description ?? undefined, responses: answer };
    return {
        ...(!f.writes && { get: { operationId: `get_${f.name}`, ...common, parameters: f.arguments.map((a) => ({ ...parameter('query', a.name), required: !a.optional })) } }),
        post: { operationId: `call_${f.name}`, ...common, requestBody: { content: content({ type: 'object', properties: fields, ...(required.length && { required }) }) } },
    };
}

function describe() {
    const paths = {}, schemas = { problem: PROBLEM };
    for (const resource of catalog.resources.values()) {
        Object.assign(schemas, schemasOf(resource));
        const path = `/${encodeURIComponent(resource.name)}`;
        paths[path] = operationsOf(resource, 'collection', resource.name, []);
        if (!resource.key.length) continue;
        const key = { ...parameter('path', 'key', `${resource.key}${resource.key.length > 1 ? ', in this order with commas between' : ''}`), required: true };
        paths[`${path}/{key}`] = operationsOf(resource, 'row', resource.name, [key]);
        for (const child of resource.children.keys()) {
            const { parameters, get, post } = operationsOf(catalog.resources.get(child), 'collection', `${resource.name}_${child}`, [key]);
            paths[`${path}/{key}/${encodeURIComponent(child)}`] = { parameters, get, post };
        }
    }
    for (const [name, [f]] of catalog.functions) paths[`/rpc/${encodeURIComponent(name)}`] = functionOf(f);
    return {
        openapi: '3.1.0', info: { title: config.title, version: config.version }, servers: [{ url: config.publicUrl || '/' }],
        security: [{ bearer: [] }, { key: [] }, { session: [] }, {}], paths,
        components: {
            schemas, parameters: PARAMETERS, headers: HEADERS,
            responses: { problem: { description: 'A problem (RFC 9457)', content: content(ref('schemas', 'problem'), 'application/problem+json') } },
            securitySchemes: { bearer: { type: 'http', scheme: 'bearer', bearerFormat: 'JWT' }, key: { type: 'apiKey', in: 'header', name: 'X-API-Key' }, session: { type: 'apiKey', in: 'cookie', name: config.cookie } },
        },
    };
}

let made = {};
module.exports = function openapi() {
    if (made.of !== catalog.version) {
        const body = JSON.stringify(describe());
        made = { of: catalog.version, body, etag: `"${crypto.createHash('sha256').update(body).digest('base64url').slice(0, 22)}"` };
    }
    return { status: 200, headers: { etag: made.etag, 'cache-control': 'no-cache' }, body: made.body };
};
