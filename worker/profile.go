package worker

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"runtime/pprof"
	"runtime/trace"
	"time"

	"github.com/tinehq/tine/ipc"
)

// profileMethod is the call by which the master asks for a profile of this process.
const profileMethod = "tine.profile"

const (
	// maxProfileTime bounds a profile that takes a while.
	maxProfileTime = 60 * time.Second
	// maxProfile is the most that a profile may have, in bytes. A trace of a busy process has some MB a second; what
	// it writes beyond this is an error.
	maxProfile = 64 << 20

	// What is on during a block or mutex profile of a program that has neither on: one block for each 10 µs that
	// something waits, and one of 10 mutexes that are waited for.
	blockRate     = 10_000
	mutexFraction = 10
)

// profileRequest is what the master asks for, as JSON.
type profileRequest struct {
	Kind    string `json:"kind"`    // cpu, trace, or a name of runtime/pprof: heap, allocs, goroutine, block, mutex, threadcreate
	Seconds int    `json:"seconds"` // how long: of cpu and trace, 1 to 60; of block and mutex, for which it is measured first; else without effect
}

// profile answers with a profile in the format of pprof (gzip), or with a trace of the runtime. Like dump, it runs beside
// everything. There is one at a time, for the runtime has one.
func (w *Worker) profile(f call) {
	var q profileRequest
	err := decodeRequest(f.Call, &q)
	ipc.Discard(f.Call)
	if err == nil && !w.profiling.CompareAndSwap(false, true) {
		err = errors.New("a profile is being made already")
	}
	if err != nil {
		w.reply(f, func() (any, error) { return nil, err })
		return
	}
	go func() {
		b, err := w.profiled(q)
		w.profiling.Store(false) // a caller that has this answer may ask again
		w.reply(f, func() (any, error) { return b, err })
	}()
}

func decodeRequest(f ipc.Call, q *profileRequest) error {
	var b []byte
	var err error
	if f.Payload != nil {
		b, err = f.Payload.Bytes()
	}
	if err == nil {
		err = json.Unmarshal(b, q)
	}
	if err != nil {
		return fmt.Errorf("cannot read what profile is wanted: %w", err)
	}
	return nil
}

func (w *Worker) profiled(q profileRequest) ([]byte, error) {
	var out limitedBuffer
	var err error
	took := min(time.Duration(max(q.Seconds, 0))*time.Second, maxProfileTime)
	switch q.Kind {
	case "cpu":
		if err = pprof.StartCPUProfile(&out); err == nil {
			w.pass(max(took, time.Second))
			pprof.StopCPUProfile()
		}
	case "trace":
		if err = trace.Start(&out); err == nil {
			w.pass(max(took, time.Second))
			trace.Stop()
		}
	default:
		p := pprof.Lookup(q.Kind)
		if p == nil {
			return nil, fmt.Errorf("there is no profile %q: there are cpu, heap, allocs, goroutine, block, mutex, threadcreate and trace", q.Kind)
		}
		if took > 0 {
			w.measure(q.Kind, p.Count() > 0, took)
		}
		if q.Kind == "heap" {
			runtime.GC() // it tells of the heap as it was at the end of a collection
		}
		err = p.WriteTo(&out, 0)
	}
	if err == nil {
		err = out.err
	}
	if err != nil {
		return nil, fmt.Errorf("cannot make a profile of kind %s: %w", q.Kind, err)
	}
	return out.Bytes(), nil
}

// measure turns a profile on for a while that is off unless the program wants it. The runtime has no
// getter for the block-profile rate: if the profile already has samples, the program is taken to have set the rate.
func (w *Worker) measure(kind string, seen bool, took time.Duration) {
	switch {
	case kind == "block":
		if !seen {
			runtime.SetBlockProfileRate(blockRate)
			defer runtime.SetBlockProfileRate(0)
		}
	case kind == "mutex":
		if runtime.SetMutexProfileFraction(-1) == 0 {
			runtime.SetMutexProfileFraction(mutexFraction)
			defer runtime.SetMutexProfileFraction(0)
		}
	default:
		return
	}
	w.pass(took)
}

// pass waits, but not longer than the worker lives.
func (w *Worker) pass(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-w.over:
	}
}

// limitedBuffer fails when it would hold more than maxProfile bytes. Its writer is read after it has ended.
type limitedBuffer struct {
	bytes.Buffer
	err error
}

func (b *limitedBuffer) Write(p []byte) (int, error) {
	if b.err == nil && b.Len()+len(p) > maxProfile {
		b.err = fmt.Errorf("it has more than %d bytes: ask for fewer seconds", maxProfile)
	}
	if b.err != nil {
		return 0, b.err
	}
	return b.Buffer.Write(p)
}
