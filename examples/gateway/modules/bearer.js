// Bearer tokens. HS256 is the database's: it has the secret, and this process none. RS256 and ES256 are verified here, with the
// public keys that an identity provider publishes (JWKS), if JWKS_URL names them.
//
// Against RFC 8725's attacks: the algorithm must be one of three, and each has keys of its own (a public key is never an HMAC's
// secret, an RSA key never verifies ES256); "none" is none of the three; a token has one form, and unknown "crit" is refused.
'use strict';
const crypto = require('node:crypto');
const { unauthenticated } = require('../problem.js');
const config = require('../config.js');

const ALGORITHMS = { RS256: { type: 'rsa' }, ES256: { type: 'ec', curve: 'prime256v1' } };
const PART = /^[A-Za-z0-9_-]+$/;
const refused = () => {
    const problem = unauthenticated('The bearer token is not valid.');
    problem.headers['WWW-Authenticate'] = 'Bearer error="invalid_token"';
    return problem;
};

// The bytes of one part. A second spelling of the same bytes is another token, and not valid.
function bytesOf(part) {
    const bytes = Buffer.from(part, 'base64url');
    if (bytes.toString('base64url') !== part) throw refused();
    return bytes;
}

function decode(part) {
    const value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytesOf(part)));
    if (value === null || typeof value !== 'object' || Array.isArray(value)) throw refused();
    return value;
}

// ---- keys: kept for a while; an unknown key id asks again, at most once in ten seconds, and all who wait share the answer
const keys = { byId: new Map(), fetched: -Infinity, expires: -Infinity, fetching: undefined };
const LIFETIME = 10 * 60 * 1000, PAUSE = 10 * 1000;

async function fetchKeys() {
    keys.fetched = Date.now();
    const response = await fetch(config.jwksUrl, { signal: AbortSignal.timeout(5000), headers: { accept: 'application/json' } });
    if (!response.ok) throw new Error(`JWKS: ${response.status}`);
    const found = new Map();
    for (const jwk of (await response.json()).keys) {
        // a key for encryption, or for an algorithm that is none of ours, is not for us
        const [alg] = Object.entries(ALGORITHMS).find(([, a]) => a.type === { RSA: 'rsa', EC: 'ec' }[jwk.kty]) ?? [];
        if (!alg || (jwk.use ?? 'sig') !== 'sig' || (jwk.alg ?? alg) !== alg || (jwk.crv ?? 'P-256') !== 'P-256') continue;
        try {
            const key = crypto.createPublicKey({ key: jwk, format: 'jwk' });
            if (alg === 'ES256' || key.asymmetricKeyDetails.modulusLength >= 2048) found.set(jwk.kid, { alg, key });
        } catch { /* not a key that can be used */ }
    }
    Object.assign(keys, { byId: found, expires: Date.now() + LIFETIME });
}

async function keyOf(kid) {
    const stale = Date.now() > keys.expires || !keys.byId.has(kid);
    if (stale && Date.now() > keys.fetched + PAUSE) {
        keys.fetching ??= fetchKeys().finally(() => { keys.fetching = undefined; });
    }
    // a key that is known does not wait for one that is not; what is known goes on if the provider does not answer
    if (stale) await keys.fetching?.catch((error) => console.error(JSON.stringify({ level: 'error', message: error.message })));
    return keys.byId.get(kid);
}

// ---- claims: times as numbers, with a minute of grace for clocks; audience and issuer as configured
function checkClaims(claims) {
    const now = Date.now() / 1000, grace = 60;
    for (const name of ['exp', 'nbf', 'iat']) if (claims[name] !== undefined && typeof claims[name] !== 'number') throw refused();
    if (claims.exp === undefined || claims.exp + grace <= now || claims.nbf - grace > now || claims.iat - grace > now) throw refused();
    const audience = [claims.aud ?? []].flat();
    if (config.jwtAudience ? !audience.includes(config.jwtAudience) : audience.length > 0) throw refused();
    if (config.jwtIssuer && claims.iss !== config.jwtIssuer) throw refused();
    if (claims.role !== undefined && typeof claims.role !== 'string') throw refused();
    return claims;
}

// A token that was verified stays so for as long as its key is published; its claims are checked each time.
const verified = new Map();

async function verify(token, header, payload, signature) {
    const published = await keyOf(header.kid), known = verified.get(token);
    if (published && known?.published === published) return known.claims;
    if (!published || published.alg !== header.alg) throw refused();
    const data = Buffer.from(token.slice(0, token.lastIndexOf('.')));
    if (!crypto.verify('sha256', data, { key: published.key, dsaEncoding: 'ieee-p1363' }, bytesOf(signature))) throw refused();
    const claims = decode(payload);
    if (verified.size >= 10000) verified.clear();
    verified.set(token, { claims, published });
    return claims;
}

// What was read of tokens that the database verifies, each time that they come.
const forDatabase = new Map();
function remember(token, caller) {
    if (forDatabase.size >= 10000) forDatabase.clear();
    forDatabase.set(token, caller);
    return caller;
}

const roleOf = ({ role }) => (typeof role === 'string' && role ? role : undefined);

// bearer(TOKEN): { role, token } for the database to verify, or { role, claims }; else it throws a 401.
async function bearer(token) {
    if (forDatabase.has(token)) return forDatabase.get(token);
    const parts = token.split('.');
    try {
        if (parts.length !== 3 || !parts.every((p) => PART.test(p))) throw refused();
        const header = decode(parts[0]);
        if (header.alg === 'HS256') return remember(token, { token, role: roleOf(decode(parts[1])) });
        if (!config.jwksUrl || !Object.hasOwn(ALGORITHMS, header.alg) || header.crit !== undefined) throw refused();
        const claims = checkClaims(await verify(token, header, parts[1], parts[2]));
        return { claims, role: roleOf(claims) };
    } catch (error) {
        throw error.status ? error : refused();
    }
}

// Of a header Authorization; without one, nothing is known.
async function callerOf(authorization) {
    if (authorization === undefined) return {};
    const token = /^Bearer +([\w.~+/=-]{1,8192})$/i.exec(authorization)?.[1];
    if (!token) throw unauthenticated('Authorization is: Bearer, and a token.');
    return bearer(token);
}

module.exports = callerOf;
