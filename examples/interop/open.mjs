#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0
// Opens a sealed message: open.mjs KEYRING CHANNEL < envelope > body (node:crypto alone)
import { createDecipheriv, createHmac, timingSafeEqual } from 'node:crypto';
import { readFileSync } from 'node:fs';

const fail = (why) => { console.error(`open.mjs: ${why}`); process.exit(1); };
const expand = (key, info, size) => {
  let last = Buffer.alloc(0), all = last;
  for (let i = 1; all.length < size; i++) {
    last = createHmac('sha256', key).update(last).update(info).update(Buffer.from([i])).digest();
    all = Buffer.concat([all, last]);
  }
  return all.subarray(0, size);
};
const channelKey = (keyring, channel, keyId) => {
  for (const line of keyring.split('\n').slice(1, -2)) {
    const [state, id, , scope, key] = line.split(' ');
    if (id !== keyId.toString('hex') || !['-', `channel:${channel}`].includes(scope)) continue;
    if (state === 'retired') fail('the key was retired');
    const name = Buffer.from(channel), size = Buffer.from([0, name.length]);
    const info = Buffer.concat([Buffer.from('sealq/1 channel\0'), size, name]);
    return scope === '-' ? expand(Buffer.from(key, 'hex'), info, 32) : Buffer.from(key, 'hex');
  }
  return fail('no such key in the keyring');
};
const [, , file, channel] = process.argv, e = readFileSync(0);
if (e.length < 144 || e.toString('latin1', 0, 5) !== 'SQE\x01\x01' || e[5] > 1 || e[7] ||
    e.readUInt32BE(116) !== e.length - 120) fail('malformed');
const key = channelKey(readFileSync(file, 'utf8'), channel, e.subarray(8, 16));
const label = Buffer.from('sealq/1 session\0');
const session = expand(key, Buffer.concat([label, e.subarray(4, 5), e.subarray(8, 40)]), 64);
const forged = 'forged, altered, or sealed for another channel', options = { authTagLength: 16 };
if (!timingSafeEqual(session.subarray(32), e.subarray(84, 116))) fail(forged);
const d = createDecipheriv('aes-256-gcm', session.subarray(0, 32), e.subarray(40, 52), options);
let p = d.setAAD(e.subarray(0, 120)).setAuthTag(e.subarray(-16)).update(e.subarray(120, -16));
try { d.final(); } catch { fail(forged); }
const from = 8 + p.readUInt32BE(0), to = from + p.readUInt32BE(4);
if (to > p.length || (!e[5] && to < p.length) || p.subarray(to).some(Boolean)) fail('malformed');
process.stdout.write(p.subarray(from, to));
