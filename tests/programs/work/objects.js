// Work for node: objects, buffers outside its own heap, compression, worker threads, a child process.
const crypto = require('crypto');
const zlib = require('zlib');
const { Worker } = require('worker_threads');
const { execFileSync } = require('child_process');

const records = [];
for (let i = 0; i < 100000; i++)
  records.push({ id: i, name: `record ${i}`, tags: [i % 7, i % 11], note: 'x'.repeat(i % 50) });
const text = JSON.stringify(records);
console.log(text.length, crypto.createHash('sha256').update(text).digest('hex'));
const buffers = [];
for (let i = 0; i < 3000; i++) buffers.push(Buffer.alloc(1000 + (i * 37) % 20000, i));
console.log(buffers.filter((b, i) => i % 10 === 0).reduce((sum, b) => sum + b.length, 0));
console.log(crypto.createHash('md5').update(zlib.gunzipSync(zlib.gzipSync(text))).digest('hex'));
const child = execFileSync(process.execPath, ['-e', 'console.log([1,2,3].map(x => x * x).join())']);
console.log(child.toString().trim());
const worker = new Worker(`
  const { parentPort } = require('worker_threads');
  const map = new Map();
  for (let i = 0; i < 50000; i++) map.set('k' + i, Buffer.alloc(i % 500));
  parentPort.postMessage([...map.values()].reduce((sum, b) => sum + b.length, 0));`, { eval: true });
worker.on('message', sum => console.log(sum));
