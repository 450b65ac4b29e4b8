// How long worker.send takes to the last of the workers.
// node broadcast.js WORKERS VALUES BYTES PAUSE_MS
const cluster = require('cluster')

if (cluster.isPrimary) {
  const [count, values, bytes, pause] = process.argv.slice(2).map(Number)
  const padding = 'x'.repeat(bytes)
  const last = new Array(values).fill(0)
  const seen = new Array(values).fill(0)
  let online = 0
  let reports = 0
  for (let i = 0; i < count; i++) {
    const worker = cluster.fork()
    worker.on('message', m => {
      if (m === 'here') {
        if (++online === count) next(0)
        return
      }
      for (const [n, t] of m) {
        seen[n]++
        last[n] = Math.max(last[n], t)
      }
      if (++reports === count) {
        const ns = last.filter((_, i) => seen[i] === count)
        console.log(JSON.stringify({ ns }))
        for (const w of Object.values(cluster.workers)) w.process.kill()
        process.exit(0)
      }
    })
  }
  const next = n => {
    if (n === values) {
      for (const w of Object.values(cluster.workers)) w.send('report')
      return
    }
    const at = String(process.hrtime.bigint())
    for (const w of Object.values(cluster.workers)) w.send({ n, at, padding })
    setTimeout(next, pause, n + 1)
  }
} else {
  const samples = []
  process.on('message', m => {
    const now = process.hrtime.bigint()
    if (m === 'report') {
      process.send(samples)
      return
    }
    samples.push([m.n, Number(now - BigInt(m.at))])
  })
  process.on('disconnect', () => process.exit(0))
  process.send('here')
}
