package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tinehq/tine/cmd/tine/internal/target"
	"github.com/tinehq/tine/ipc"
	"github.com/tinehq/tine/supervisor"
	"github.com/tinehq/tine/supervisor/claim"
	"github.com/tinehq/tine/supervisor/keeper"
)

const (
	// stopWait is how long a start waits for a master of the same name that is ending: as long as the defaults let it drain.
	stopWait = time.Minute
	// stopLook is how often it looks.
	stopLook = 100 * time.Millisecond
	// claimEvery is how often a master without a claim tries to get it, as one has that was started by an older tine.
	claimEvery = time.Second
)

// identity is what makes a master the same as another one: its name, and what it was started from.
type identity struct {
	name   string
	config string // absolute path; empty: flags
	env    string // the environment of the config that was chosen
	named  bool   // by --name: another name means another master, also of the same config
}

func (f *runFlags) identity(c *supervisor.Config) identity {
	id := identity{name: c.Name, env: f.env, named: f.config != "" && f.name != ""}
	if files := c.Files(); len(files) > 0 {
		id.config = files[0]
	}
	return id
}

// about is what a holder of the claim says, but for its processes.
func (id identity) about(address, place string) claim.About {
	return claim.About{Name: id.name, Config: id.config, Env: id.env, Control: address, Place: place}
}

// keepName gives a master that goes on where another ended that one's name and place, which it has claimed: that the file says
// another name by now counts when it is started anew.
func (id *identity) keepName(c *supervisor.Config, held *claim.Claim) (changed bool) {
	if held == nil || claim.FileName(c.Name) == held.Name() {
		return false
	}
	if c.Control != supervisor.ControlOff && filepath.Base(c.Control) == target.SocketName(c.Name) {
		c.Control = filepath.Join(filepath.Dir(c.Control), target.SocketName(held.Name()))
	}
	c.Name, id.name = held.Name(), held.Name()
	return true
}

// refuseSecond says that a master of the same name runs, or one of the same config that has another name since that was
// edited. One that is ending is waited for, and say is told so once.
func refuseSecond(ctx context.Context, id identity, c *supervisor.Config, say io.Writer) error {
	for late, told, sure := time.Now().Add(stopWait), false, false; ; {
		other, err := findSecond(ctx, id)
		if err != nil || other == nil {
			if err != nil {
				return err
			}
			return notRunning(ctx, c)
		}
		stopping := other.State == claim.Stopping
		switch {
		case !stopping && sure, stopping && time.Now().After(late):
			return id.refusal(*other)
		case !stopping:
			sure = true // when asked once more: it may have been told to stop a moment ago, and not know it yet
		case !told:
			told = true
			fmt.Fprintf(say, "tine: %s (pid %d) is stopping: waiting for its end\n", other.Name, other.PID)
		}
		select {
		case <-time.After(stopLook):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// findSecond is the master that a start of id would be a second one of; nil: there is none. A name that a stranger keeps from
// this user denies him nothing.
func findSecond(ctx context.Context, id identity) (*claim.About, error) {
	a, err := claim.Ask(ctx, id.name)
	var stranger *claim.StrangerError
	switch {
	case err == nil:
		return &a, nil
	case errors.Is(err, claim.ErrSilent):
		return nil, &claim.TakenError{About: claim.About{Name: id.name, PID: a.PID}, Err: err}
	case !errors.Is(err, claim.ErrNone) && !errors.As(err, &stranger):
		return nil, fmt.Errorf("cannot see whether %s runs already: %w", id.name, err)
	}
	if id.config == "" || id.named {
		return nil, nil
	}
	for _, found := range claim.Find(ctx) {
		if found.Err == nil && found.Name != id.name && found.Env == id.env && found.SameConfig(id.config) {
			return &found.About, nil
		}
	}
	return nil, nil
}

// refusal says which master runs already, how to reach it, and what else can be done.
func (id identity) refusal(other claim.About) error {
	if other.Name != id.name {
		return fmt.Errorf("%s is run already, by the master %s (pid %d): tine config apply -m %s brings in what was edited; "+
			"with --name %s it is another master beside it", id.config, other.Name, other.PID, other.Name, id.name)
	}
	text := fmt.Sprintf("%s runs already (pid %d%s)", other.Name, other.PID, reachedAt(other))
	if other.State == claim.Stopping {
		return fmt.Errorf("%s: it has been stopping for more than %s", text, stopWait)
	}
	if other.Control == "" {
		return fmt.Errorf("%s: kill -USR2 %d replaces its workers; another one needs another --name", text, other.PID)
	}
	return fmt.Errorf("%s: tine reload -m %s replaces its workers; another one needs another --name", text, other.Name)
}

func reachedAt(a claim.About) (text string) {
	if a.Config != "" {
		text = ", config " + a.Config
	}
	if a.Control == "" {
		return text + ", without a control socket"
	}
	return text + ", control " + a.Control
}

// takeClaim is for the process that is started first: from here on no second one of the same name can be. A claim that cannot
// be had for any other reason than another master is missed by nobody who serves.
func takeClaim(ctx context.Context, id identity, c *supervisor.Config) (*claim.Claim, error) {
	if err := refuseSecond(ctx, id, c, os.Stderr); err != nil {
		return nil, err
	}
	got, err := claim.Take(ctx, id.name)
	var taken *claim.TakenError
	if errors.As(err, &taken) {
		if taken.Err != nil {
			return nil, taken
		}
		return nil, id.refusal(taken.About)
	}
	if err != nil {
		return nil, nil // the master tries again, and says so
	}
	return got, nil
}

func sayUnclaimed(err error) {
	fmt.Fprintf(os.Stderr, "tine: %v; going on without: tine ls finds this master by its control socket only, and a second one of its name is not refused\n", err)
}

// heldClaim is the claim of a master, as it is held below a keeper or without one.
type heldClaim struct {
	above *above
	id    identity
	place string // where the control socket is to be
	ready <-chan struct{}
	stops <-chan struct{}

	mu      sync.Mutex
	claim   *claim.Claim
	said    bool                   // that there is none
	quit    func()                 // ends what begin has begun; nil: it was not called
	address atomic.Pointer[string] // of the control socket
}

// about is what this master says of itself, where no keeper answers for it.
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

// reachable is called with the address of the control socket, each time that it is another one.
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

// see takes the claim if there is none, and answers on it if nobody else does. It is called by one goroutine. While it asks
// who holds the claim, which may take seconds, it holds nobody up.
func (h *heldClaim) see(ctx context.Context) {
	if keeper.Answers() {
		return
	}
	if h.file() == nil {
		got, err := claim.Take(ctx, h.id.name)
		if err != nil {
			if !h.said && ctx.Err() == nil {
				h.said = true
				sayUnclaimed(err)
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

// store keeps the claim for the next master, where there is a store.
func (h *heldClaim) store() {
	if h.claim == nil || h.above.client.Limit() == 0 {
		return
	}
	if err := h.above.client.Store(keeper.ClaimName, h.claim.File()); err != nil {
		fmt.Fprintf(os.Stderr, "tine: %v; going on without: should this master crash, another of its name may start before the next one\n", err)
	}
}

// begin is called when this master is in charge. From then on until end it looks again and again: the keeper may have ended,
// or who held the claim.
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

// file is the claim for another process that is to hold it; nil: there is none. It stays this one's.
func (h *heldClaim) file() *os.File {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.claim == nil {
		return nil
	}
	return h.claim.File()
}

// duplicate is the claim for the next master.
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

// end lets go of it. Where another master is in charge, which followed this one or was never followed by it, the store of
// files keeps it for that one.
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

// isFirst says whether no master was before this one: neither below a keeper, nor in an upgrade, nor has one left its state.
func (a *above) isFirst(next *succession) bool {
	return keeper.PID() == 0 && (next == nil || !next.HasParent()) && len(a.files["state"]) == 0
}

// inheritClaim takes the claim that another master, or the keeper, has handed on.
func (a *above) inheritClaim() (got *claim.Claim) {
	for _, f := range a.files[keeper.ClaimName] {
		c, err := claim.Adopt(f)
		switch {
		case err != nil:
			fmt.Fprintf(os.Stderr, "tine: %v; going on without\n", err)
		case got != nil:
			c.Close()
		default:
			got = c
		}
	}
	delete(a.files, keeper.ClaimName)
	return got
}
