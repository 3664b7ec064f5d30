// One request to Azurite, signed as its account: URL METHOD PATH [BODY]. Prints status and body of the answer.
import { createHmac } from 'node:crypto';

const [, , base, method, path, body = ''] = process.argv;
// The account that everybody's Azurite has.
const account = 'devstoreaccount1';
const key = 'Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==';

const url = new URL(`${base}/${account}${path}`);
const headers = { 'x-ms-date': new Date().toUTCString(), 'x-ms-version': '2021-08-06' };
if (body) headers['x-ms-blob-type'] = 'BlockBlob';
const named = Object.keys(headers).sort().map((name) => `${name}:${headers[name]}\n`).join('');
const query = [...url.searchParams].sort().map(([name, value]) => `\n${name}:${value}`).join('');
const [length, type] = body ? [Buffer.byteLength(body), 'text/plain'] : ['', ''];
const text = [method, '', '', length, '', type, '', '', '', '', '', '', named].join('\n') +
  `/${account}${url.pathname}${query}`;
const mac = createHmac('sha256', Buffer.from(key, 'base64')).update(text).digest('base64');
headers.authorization = `SharedKey ${account}:${mac}`;
if (body) headers['content-type'] = type;
const answer = await fetch(url, { method, headers, body: body || undefined });
console.log(answer.status, await answer.text());
