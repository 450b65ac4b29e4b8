package main

import (
	"context"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tinehq/tine/ipc"
	"github.com/tinehq/tine/supervisor/claim"
	"github.com/tinehq/tine/supervisor/keeper"
)

// claimEvery is how often a master without a claim tries to get it. A master that an older tine started has none.
const claimEvery = time.Second

// heldClaim is the claim of a master. Below a keeper the keeper answers at the claim; without one the master does.
type heldClaim struct {
	above *above
	id    identity
	place string // where the control socket is to be
	ready <-chan struct{}
	stops <-chan struct{}
	said  bool // a failure was reported; only the goroutine of begin uses it

	mu      sync.Mutex
	claim   *claim.Claim           // nil: none is held
	quit    func()                 // ends the goroutine of begin, and waits for it; nil: it was not started
	address atomic.Pointer[string] // of the control socket
}

// about is what this master answers at the claim. It is called on the goroutine of the claim.
func (h *heldClaim) about() claim.About {
	a := h.id.about(h.at(), h.place)
	a.PID, a.Master, a.State = os.Getpid(), os.Getpid(), claim.Starting
	if pid := keeper.PID(); pid != 0 {
		a.PID = pid
	}
	select {
	case <-h.stops:
		a.State = claim.Stopping
		return a
	default:
	}
	select {
	case <-h.ready:
		a.State = claim.Serving
	default:
	}
	return a
}

func (h *heldClaim) at() string {
	if p := h.address.Load(); p != nil {
		return *p
	}
	return ""
}

// reachable takes the address of the control socket. The supervisor calls it each time that the address changes.
func (h *heldClaim) reachable(address string) {
	h.address.Store(&address)
	if keeper.Answers() {
		if err := h.above.client.Reachable(address); err != nil {
			fmt.Fprintf(os.Stderr, "tine: %v; going on without: tine ls may not find this master\n", err)
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.claim != nil && !keeper.Answers() {
		_ = h.claim.Changed(h.about)
	}
}

// see takes the claim if this master has none, and answers at it if no keeper does. Only the goroutine of begin calls it.
// Asking for the holder of the claim may take seconds, and mu is not held meanwhile.
func (h *heldClaim) see(ctx context.Context) {
	if keeper.Answers() {
		return
	}
	if h.file() == nil {
		got, err := claim.Take(ctx, h.id.name)
		if err != nil {
			if !h.said && ctx.Err() == nil {
				h.said = true
				fmt.Fprintf(os.Stderr, "tine: %v; going on without: tine ls finds this master by its control socket only, and a second one of its name is not refused\n", err)
			}
			return
		}
		h.mu.Lock()
		h.claim = got
		h.mu.Unlock()
		h.store()
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := h.claim.Serve(h.about); err != nil && !h.said {
		h.said = true
		fmt.Fprintf(os.Stderr, "tine: %v; going on without: tine ls may not find this master\n", err)
	}
}

// store puts the claim into the store of files for the next master, if there is a store.
func (h *heldClaim) store() {
	if h.claim == nil || h.above.client.Limit() == 0 {
		return
	}
	if err := h.above.client.Store(keeper.ClaimName, h.claim.File()); err != nil {
		fmt.Fprintf(os.Stderr, "tine: %v; going on without: should this master crash, another of its name may start before the next one\n", err)
	}
}

// begin starts the goroutine that sees to the claim each claimEvery, until end: the keeper may end, or the process that
// holds the claim. Call it when this master is in charge.
func (h *heldClaim) begin() {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	h.mu.Lock()
	h.quit = func() { cancel(); <-ended }
	h.mu.Unlock()
	go func() {
		defer close(ended)
		every := time.NewTicker(claimEvery)
		defer every.Stop()
		for {
			h.see(ctx)
			select {
			case <-every.C:
			case <-ctx.Done():
				return
			}
		}
	}()
}

// file returns the file of the claim, for a process that this one starts; nil: there is none. h still owns it.
func (h *heldClaim) file() *os.File {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.claim == nil {
		return nil
	}
	return h.claim.File()
}

// duplicate returns a duplicate of the file of the claim for the next master; none if no claim is held.
func (h *heldClaim) duplicate() ([]*os.File, error) {
	file := h.file()
	if file == nil {
		return nil, nil
	}
	f, err := ipc.Duplicate(file)
	if err != nil {
		return nil, fmt.Errorf("cannot hand on the claim: %w", err)
	}
	return []*os.File{f}, nil
}

// end stops the goroutine and releases the claim. The store of files keeps the claim if another master is in charge: one
// that has followed this one (followed), or the old one that this one was to follow (begin was not called).
func (h *heldClaim) end(followed bool) {
	h.mu.Lock()
	quit := h.quit
	h.mu.Unlock()
	if quit != nil {
		quit()
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if quit != nil && !followed && h.claim != nil && !keeper.Answers() {
		_ = h.above.client.Remove(keeper.ClaimName)
	}
	h.claim.Close()
	h.claim = nil
}
