// Pages of other origins: those that CORS_ORIGINS names may call with credentials, and read the headers that a client needs.
'use strict';
const config = require('../config.js');

const EXPOSED = 'ETag, Link, Location, Retry-After, RateLimit, RateLimit-Policy, Read-After, Idempotency-Replayed, WWW-Authenticate, Content-Profile, Content-Range, Preference-Applied, X-Request-Id';

function crossOrigin(request, headers) {
    const { origin } = request.headers;
    if (!config.origins.includes(origin)) return;
    Object.assign(headers, { 'access-control-allow-origin': origin, 'access-control-allow-credentials': 'true', 'access-control-expose-headers': EXPOSED });
    if (request.method !== 'OPTIONS') return;
    Object.assign(headers, { 'access-control-allow-methods': 'GET, HEAD, POST, PUT, PATCH, DELETE', 'access-control-max-age': '600',
        'access-control-allow-headers': 'Accept-Profile, Authorization, Content-Profile, Content-Type, Idempotency-Key, If-Match, If-None-Match, Prefer, Read-After, Traceparent, X-API-Key, X-Request-Id' });
}

module.exports = { crossOrigin };
