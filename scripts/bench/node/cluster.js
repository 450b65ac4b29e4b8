// The same service on Node's cluster module, as its documentation shows it.
// node cluster.js PORT WORKERS
const cluster = require('cluster')
const crypto = require('crypto')
const http = require('http')

const port = Number(process.argv[2])
const count = Number(process.argv[3])

if (cluster.isPrimary) {
  for (let i = 0; i < count; i++) cluster.fork()
  cluster.on('exit', worker => {
    if (!worker.exitedAfterDisconnect) cluster.fork()
  })
  process.on('SIGUSR2', async () => {
    for (const old of Object.values(cluster.workers)) {
      await new Promise(done => cluster.fork().once('listening', done))
      await new Promise(done => {
        old.once('exit', done)
        old.disconnect()
        setTimeout(() => old.kill('SIGKILL'), 10000).unref()
      })
    }
    console.log('rolled')
  })
} else {
  process.on('disconnect', () => { // the primary is gone, or wants this worker to end
    setTimeout(() => process.exit(0), 2000).unref()
  })
  http.createServer((req, res) => {
    if (req.url === '/upload') {
      const hash = crypto.createHash('sha256')
      let n = 0
      req.on('data', d => { hash.update(d); n += d.length })
      req.on('end', () => res.end(`${n} ${hash.digest('hex')}\n`))
      return
    }
    res.setHeader('Content-Type', 'text/plain; charset=utf-8')
    res.end(`Handled by process ${process.pid}.Cached value: none`)
  }).listen(port, '127.0.0.1')
}
