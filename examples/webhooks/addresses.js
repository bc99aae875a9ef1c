// Which addresses may be sent to: those of the public internet. An endpoint's URL is its owner's choice, and this program stands in a network
// that others cannot reach: a database's, a cloud's metadata service.
'use strict';
const net = require('node:net');
const config = require('./config.js');

function blockList(ranges) {
    const blocked = new net.BlockList();
    for (const range of ranges) {
        const [address, bits] = range.split('/'), family = net.isIPv6(address) ? 'ipv6' : 'ipv4';
        blocked.addSubnet(address, Number(bits ?? (family === 'ipv6' ? 128 : 32)), family);
    }
    return blocked;
}

// Of IANA's special-purpose registries. Of IPv6 only what is allocated, 2000::/3, is public to begin with.
const SPECIAL = blockList(['0.0.0.0/8', '10.0.0.0/8', '100.64.0.0/10', '127.0.0.0/8', '169.254.0.0/16', '172.16.0.0/12', '192.0.0.0/24', '192.0.2.0/24', '192.88.99.0/24',
    '192.168.0.0/16', '198.18.0.0/15', '198.51.100.0/24', '203.0.113.0/24', '224.0.0.0/4', '240.0.0.0/4', '2001::/23', '2001:db8::/32', '2002::/16', '3fff::/20']);
const ALLOCATED = blockList(['2000::/3']);
const allowed = blockList(config.allow);

function isPublic(address) {
    const family = net.isIPv6(address) ? 'ipv6' : 'ipv4';
    if (!net.isIP(address)) return false;
    return allowed.check(address, family) || ((family === 'ipv4' || ALLOCATED.check(address, family)) && !SPECIAL.check(address, family));
}

module.exports = { isPublic };
