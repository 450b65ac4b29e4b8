package succession

import (
	"context"
	"errors"
	"os"
	"sync"
	"time"

	"github.com/tinehq/tine/ipc"
)

// Store holds files for the master that comes after this one: the keeper's, or systemd's. See package keeper, whose Client is
// one. Its methods may be called by several goroutines, and return within seconds. A Store with the method
// Barrier(context.Context) error is asked by it to have done what it was told.
type Store interface {
	Store(name string, files ...*os.File) error // duplicates them
	Remove(name string) error                   // all files of that name
}

// barrierTimeout bounds the wait for a store that was asked to have done what it was told.
const barrierTimeout = 5 * time.Second

// Vault gives files to a Store, in a goroutine of its own, so that no other waits for it:
//
//	Store, Remove, Barrier ──▶ queue ──▶ the Store behind
//	Results ◀──── errors, barriers ────────────────┘
//
// The order is kept: when a barrier comes back, the store has done what was asked before. Nothing is ever refused or lost. A
// name has at most a removal and the files after it in the queue, which is so bounded by the names: what a removal overtakes is not
// stored, and is not removed either if the store never had it. A Vault may be used by several goroutines, but Results. It is a Store
// itself, whose methods wait for nothing.
type Vault struct {
	store Store
	wake  chan struct{}
	news  chan struct{}
	ended chan struct{} // closed when the goroutine has
	stop  context.CancelFunc

	mu      sync.Mutex
	queue   []*vaultJob
	busy    bool            // one that is not in queue any more is being done
	may     map[string]bool // names that the store may have files of
	results []Result
	idle    []chan struct{} // closed when there is nothing to do
}

// Result is what has come of a Store or Remove that failed, or that a barrier was reached.
type Result struct {
	Name    string // of the file
	Err     error
	Barrier any // what Barrier was given; nil: a Store or Remove failed
}

type vaultJob struct {
	name    string
	files   []*os.File // duplicates: to be stored; none: the name is to be removed
	barrier []any      // what is told when all before is done
}

// NewVault makes a Vault for a store that has files of those names. They wait until Start.
func NewVault(store Store, names []string) *Vault {
	v := &Vault{store: store, wake: make(chan struct{}, 1), news: make(chan struct{}, 1), may: map[string]bool{}}
	for _, name := range names {
		v.may[name] = true
	}
	return v
}

// Has notes that the store has files of a name, or is about to, that Vault.Store knows nothing of.
func (v *Vault) Has(name string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.may[name] = true
}

// Store has files stored under a name, beside those that it has. They may be closed as soon as Store has returned, which is at once, with
// nil: what fails is a Result.
func (v *Vault) Store(name string, files ...*os.File) error {
	job := &vaultJob{name: name}
	for _, f := range files {
		d, err := ipc.Duplicate(f)
		if err != nil {
			job.close()
			v.tell(Result{Name: name, Err: err})
			return nil
		}
		job.files = append(job.files, d)
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, old := range v.queue {
		if old.name == name && len(old.files) > 0 {
			old.files = append(old.files, job.files...)
			return nil
		}
	}
	v.add(job)
	return nil
}

// Remove has all files of a name removed. It returns nil at once: what fails is a Result.
func (v *Vault) Remove(name string) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	kept := v.queue[:0]
	for _, old := range v.queue {
		if old.name == name && old.barrier == nil {
			old.close() // what it was to do is overtaken
			continue
		}
		kept = append(kept, old)
	}
	clear(v.queue[len(kept):])
	v.queue = kept
	if v.may[name] {
		v.add(&vaultJob{name: name})
	} else {
		v.rest()
	}
	return nil
}

// Barrier has Results tell what when the store has done all that it was asked before.
func (v *Vault) Barrier(what any) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if n := len(v.queue); n > 0 && v.queue[n-1].barrier != nil {
		v.queue[n-1].barrier = append(v.queue[n-1].barrier, what)
		return
	}
	v.add(&vaultJob{barrier: []any{what}})
}

// add is called with mu held.
func (v *Vault) add(job *vaultJob) {
	v.queue = append(v.queue, job)
	select {
	case v.wake <- struct{}{}:
	default:
	}
}

// News gets a value when there are Results.
func (v *Vault) News() <-chan struct{} { return v.news }

// Results returns what has happened since it was called last, in order.
func (v *Vault) Results() []Result {
	v.mu.Lock()
	defer v.mu.Unlock()
	all := v.results
	v.results = nil
	return all
}

func (v *Vault) tell(r Result) {
	v.mu.Lock()
	v.results = append(v.results, r)
	v.mu.Unlock()
	select {
	case v.news <- struct{}{}:
	default:
	}
}

// Wait returns when everything that was asked is done, or ctx is.
func (v *Vault) Wait(ctx context.Context) error {
	v.mu.Lock()
	if len(v.queue) == 0 && !v.busy {
		v.mu.Unlock()
		return nil
	}
	idle := make(chan struct{})
	v.idle = append(v.idle, idle)
	v.mu.Unlock()
	select {
	case <-idle:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// rest tells those that wait, if there is nothing to do. mu is held.
func (v *Vault) rest() {
	if len(v.queue) > 0 || v.busy {
		return
	}
	for _, idle := range v.idle {
		close(idle)
	}
	v.idle = nil
}

// Start begins to do what is asked, until Close.
func (v *Vault) Start() {
	ctx, stop := context.WithCancel(context.Background())
	v.stop, v.ended = stop, make(chan struct{})
	go func() {
		defer close(v.ended)
		for {
			job := v.next()
			if job == nil {
				select {
				case <-v.wake:
					continue
				case <-ctx.Done():
					return
				}
			}
			v.do(ctx, job)
			if ctx.Err() != nil {
				return
			}
		}
	}()
}

// next takes the first job out of the queue; nil: there is none.
func (v *Vault) next() *vaultJob {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.busy = len(v.queue) > 0
	if !v.busy {
		v.rest()
		return nil
	}
	job := v.queue[0]
	v.queue[0], v.queue = nil, v.queue[1:]
	if job.barrier == nil {
		v.may[job.name] = true // also if it fails: something may have arrived
	}
	return job
}

func (v *Vault) do(ctx context.Context, job *vaultJob) {
	defer job.close()
	switch {
	case job.barrier != nil:
		if b, ok := v.store.(interface{ Barrier(context.Context) error }); ok {
			ctx, cancel := context.WithTimeout(ctx, barrierTimeout)
			_ = b.Barrier(ctx) // later, then
			cancel()
		}
		for _, what := range job.barrier {
			v.tell(Result{Barrier: what})
		}
	case len(job.files) > 0:
		if err := v.store.Store(job.name, job.files...); err != nil {
			v.tell(Result{Name: job.name, Err: err})
		}
	default:
		err := v.store.Remove(job.name)
		if err != nil {
			v.tell(Result{Name: job.name, Err: err})
			return
		}
		v.mu.Lock()
		delete(v.may, job.name)
		v.mu.Unlock()
	}
}

// Close ends the goroutine that Start has begun, when it has done what it is doing; the rest is not done. Wait comes before
// where it shall be.
func (v *Vault) Close() {
	if v.stop == nil {
		return
	}
	v.stop()
	<-v.ended
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, job := range v.queue {
		job.close()
	}
	v.queue, v.busy = nil, false
	v.rest()
}

func (j *vaultJob) close() {
	for _, f := range j.files {
		f.Close()
	}
	j.files = nil
}

// errSlow is the cause of a Wait that has ended before.
var errSlow = errors.New("the store has not taken in time what the next master needs")

// WaitAtMost is Wait for a time.
func (v *Vault) WaitAtMost(d time.Duration) error {
	ctx, cancel := context.WithTimeoutCause(context.Background(), d, errSlow)
	defer cancel()
	return v.Wait(ctx)
}
