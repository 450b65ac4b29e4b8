package worker

import (
	"context"
	"sync"
	"time"

	"github.com/tinehq/tine/ipc"
)

// drainOrder is one order to finish.
type drainOrder struct {
	reason   string
	handover bool // another worker accepts from the same sockets
	linger   bool // none does: accept for the whole delay, not only while a connection is open
	delay    time.Duration
	timeout  time.Duration
	stay     bool // the process does not end with the drain
}

// drain is the end of a worker, in two phases.
//
// In the first, for at most the delay, everything is served as before, but each answer asks its client to take the next
// request elsewhere, so that kept-alive connections end between requests and by the client's own hand. With a handover
// no connection is accepted from the beginning; without one they are until none is open (or, to linger, until the delay
// is over) and the queue is empty.
//
// In the second the idle connections are closed, and requests may finish until the timeout. What is left then is cut
// and counted.
//
// A later order cannot prolong an earlier one: each counts its own two times, and the first of a kind wins.
type drain struct {
	begun   chan struct{} // the first order has come
	closing chan struct{} // phase one is over
	cutting chan struct{} // time is up
	done    chan struct{} // all is over

	mu       sync.Mutex
	ordered  bool
	used     bool // the program has the listeners or waits for them
	delay    time.Duration
	timeout  time.Duration
	servers  []*server
	loops    sync.WaitGroup // of servers, each from before ordered
	hooks    []func(context.Context)
	onceShut sync.Once
	onceCut  sync.Once
}

func (d *drain) init(delay, timeout time.Duration) {
	d.begun = make(chan struct{})
	d.closing = make(chan struct{})
	d.cutting = make(chan struct{})
	d.done = make(chan struct{})
	d.delay, d.timeout = delay, timeout
}

// setUsual keeps the limits of a drain that is ordered without any.
func (d *drain) setUsual(delay, timeout time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.delay, d.timeout = delay, timeout
}

func (d *drain) usual(reason string, handover bool) drainOrder {
	d.mu.Lock()
	defer d.mu.Unlock()
	return drainOrder{reason: reason, handover: handover, delay: d.delay, timeout: d.timeout}
}

func (d *drain) use() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.used = true
}

// add registers a server with n accept loops; each calls ended once. It answers false when a drain has begun.
func (d *drain) add(s *server, n int) (ended func(), ok bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.ordered {
		return nil, false
	}
	d.servers = append(d.servers, s)
	d.loops.Add(n)
	return d.loops.Done, true
}

// join is add for one more accept loop of a server that is registered.
func (d *drain) join() (ended func(), ok bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.ordered {
		return nil, false
	}
	d.loops.Add(1)
	return d.loops.Done, true
}

// OnDrain has fn called when the drain begins, beside all others. The worker counts as drained only when fn has
// returned or its context has ended, which is when the time for the drain is up: finish here what the HTTP server does
// not know of, like connections that outlive their handler. Register at the start: a function that comes when the drain
// has begun is not called.
func (w *Worker) OnDrain(fn func(ctx context.Context)) {
	w.drain.mu.Lock()
	defer w.drain.mu.Unlock()
	w.drain.hooks = append(w.drain.hooks, fn)
}

// begin takes an order. The first starts the drain; a later one can only shorten it.
func (d *drain) begin(w *Worker, o drainOrder) {
	d.mu.Lock()
	first := !d.ordered
	d.ordered = true
	if first {
		for _, s := range d.servers {
			s.load.beginDrain()
		}
	}
	d.mu.Unlock()
	go newCountdown(o.delay).count(d.done, d.shut)
	go newLongCountdown(o.delay+o.timeout).count(d.done, d.cut)
	if first && !o.stay {
		w.leaves()
	}
	if first {
		close(d.begun) // from here on every answer asks its client to go
		go d.run(w, o)
	} else if o.handover {
		w.closeListeners()
	}
}

func (d *drain) shut() { d.onceShut.Do(func() { close(d.closing) }) }
func (d *drain) cut()  { d.onceCut.Do(func() { close(d.cutting) }) }

func (d *drain) run(w *Worker, o drainOrder) {
	start := time.Now()
	log := w.log()

	d.mu.Lock()
	servers, hooks, used := d.servers, d.hooks, d.used
	d.mu.Unlock()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		select {
		case <-d.cutting:
			cancel()
		case <-ctx.Done():
		}
	}()
	hooked := make(chan struct{})
	go func() {
		defer close(hooked)
		var wg sync.WaitGroup
		for _, fn := range hooks {
			wg.Go(func() { fn(ctx) })
		}
		wg.Wait()
	}()

	if o.handover || !used {
		w.closeListeners()
		// Only when the accept loops have ended is every accepted connection known to its server.
		d.wait(&d.loops)
		for _, s := range servers {
			s.quiet(d.closing, d.cutting)
		}
	} else {
		if o.linger {
			d.pause(d.closing)
		}
		for _, s := range servers {
			s.quiet(d.closing, d.cutting)
		}
		w.queuesEmpty(d.cutting)
		w.closeListeners()
		d.wait(&d.loops)
	}

	var (
		wg  sync.WaitGroup
		mu  sync.Mutex
		cut int
	)
	for _, s := range servers {
		wg.Go(func() {
			s.outlast(ctx, o)
			n := s.finish(ctx)
			mu.Lock()
			cut += n
			mu.Unlock()
		})
	}
	wg.Wait()
	d.pause(hooked)

	took := time.Since(start).Round(time.Millisecond)
	if cut > 0 {
		log.Warn("drained; the time was up for some requests", "reason", o.reason, "cut", cut, "took", took)
	} else {
		log.Debug("drained", "reason", o.reason, "took", took)
	}
	if w.mail != nil {
		wait := byeWait
		if o.stay {
			wait = 0
		}
		w.mail.bye(ipc.Bye{Reason: o.reason, Cut: cut}, wait)
	}
	w.end()
	close(d.done)
	if !used && !o.stay {
		// The program is still setting up, or never wanted to serve, so nothing of it waits for the drain: end as
		// a program does that knows nothing of signals.
		w.opts.exit(0)
	}
}

// byeTimeout bounds how long a drained worker waits for a master that does not read.
const byeTimeout = 250 * time.Millisecond

// pause waits for ch, at most until time is up.
func (d *drain) pause(ch <-chan struct{}) {
	select {
	case <-ch:
	case <-d.cutting:
	}
}

// wait waits for the accept loops. They end as soon as their listener is closed.
func (d *drain) wait(wg *sync.WaitGroup) {
	ended := make(chan struct{})
	go func() {
		wg.Wait()
		close(ended)
	}()
	d.pause(ended)
}

// quiet waits until no connection is open or stop closes.
func (s *server) quiet(stop, cut <-chan struct{}) {
	for s.load.open() > 0 {
		select {
		case <-s.load.changed:
		case <-stop:
			return
		case <-cut:
			return
		}
	}
}

// outlast gives the connections of answers that began before the drain a first phase of their own. Such an answer cannot
// say any more that its connection closes; were it closed right behind the answer, a client that sends its next request
// in that very moment would lose it. The worker has to stay for the answer anyway. Streams that only end when they are
// told to must not prolong the drain by its whole timeout, though: half of it is the most.
func (s *server) outlast(ctx context.Context, o drainOrder) {
	ctx, enough := context.WithTimeout(ctx, o.timeout/2)
	defer enough()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for s.load.open() > 0 {
		var quiet <-chan time.Time
		if s.load.early.Load() <= 0 {
			left := o.delay - time.Duration(ipc.Monotonic()-s.load.earlyEnd.Load())
			if left <= 0 {
				return
			}
			timer.Reset(left)
			quiet = timer.C
		}
		select {
		case <-s.load.changed:
		case <-quiet:
		case <-ctx.Done():
			return
		}
	}
}

// firstRequest is how long a client may take, from its connection's acceptance at the end of a drain, to send a request.
const firstRequest = time.Second

// finish closes what is idle, waits for the rest until ctx ends, and returns how many requests it had to cut.
func (s *server) finish(ctx context.Context) (cut int) {
	// Once Shutdown was called, net/http drops every request that it has read and not handed over: also the first one of
	// a connection that was accepted just before. This closes what is idle and drops nothing, so that each connection
	// that is left can send the request that is on its way.
	s.srv.SetKeepAlivesEnabled(false)
	arriving, enough := context.WithTimeout(ctx, firstRequest)
	s.quiet(arriving.Done(), ctx.Done())
	enough()
	sctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = s.srv.Shutdown(sctx) // its error says only that ctx has ended
	}()
	// Shutdown looks for progress every 500 ms in the end, and knows nothing of hijacked connections; the counters
	// tell at once. It is asked all the same because only it knows which connections are idle.
	for s.load.open() > 0 || s.load.inFlight() > 0 {
		select {
		case <-s.load.changed:
		case <-ctx.Done():
			cut = s.load.inFlight()
			cancel()
			<-ended
			s.srv.Close()
			return cut
		}
	}
	cancel()
	<-ended
	return 0
}
