// What Node.js finds as grant_type in each line: a body in base64.
const querystring = require('node:querystring');
const lines = require('node:fs').readFileSync(0, 'utf8').trim().split('\n');
let qs = null;
try { qs = require('qs'); } catch { /* it is there only where somebody installed it */ }

const texts = (value) => {
  if (value === undefined || value === null) return [];
  if (typeof value === 'object') return Object.values(value).flatMap(texts);
  return [String(value)];
};
const json = (body) => {
  try { return texts(JSON.parse(body)?.grant_type); } catch { return []; }
};
console.log(lines.map((line) => {
  const body = Buffer.from(line, 'base64').toString();
  const found = {
    'node querystring': texts(querystring.parse(body).grant_type),
    'node URLSearchParams': new URLSearchParams(body).getAll('grant_type'),
    'node json': json(body),
  };
  if (qs) found['node qs'] = texts(qs.parse(body).grant_type);
  return JSON.stringify(found);
}).join('\n'));
