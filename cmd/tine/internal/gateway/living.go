package gateway

import (
	"net/http"
	"slices"
	"sync/atomic"
)

// living are the assembly of the newest policy, which is the first, and those before it that still have requests. What waits in a queue of
// an earlier policy is served by that policy: it goes on to be told of members and of free places. One goroutine changes it.
type living struct{ all atomic.Pointer[[]*assembly] }

// now is the newest; nil: there is none yet.
func (l *living) now() *assembly {
	if all := l.all.Load(); all != nil {
		return (*all)[0]
	}
	return nil
}

// serve has the newest answer a request.
func (l *living) serve(w http.ResponseWriter, r *http.Request) {
	a := l.now()
	for a.requests.Add(1); a != l.now(); a.requests.Add(1) { // it may have been given up before it was counted
		a.requests.Add(-1)
		a = l.now()
	}
	defer a.requests.Add(-1)
	a.proxy.ServeHTTP(w, r)
}

// released has all requests that wait know of a place that is free: the members of one policy are those of the next.
func (l *living) released(since int64) {
	for _, a := range *l.all.Load() {
		a.pools.Released(since)
	}
}

// begin makes a the newest.
func (l *living) begin(a *assembly) {
	all := []*assembly{a}
	if before := l.all.Load(); before != nil {
		all = append(all, *before...)
	}
	l.all.Store(&all)
}

// before are those that still have requests, beside the newest. The others are given up.
func (l *living) before() []*assembly {
	all := *l.all.Load()
	kept := slices.DeleteFunc(slices.Clone(all[1:]), func(a *assembly) bool { return a.requests.Load() == 0 })
	if len(kept) == len(all)-1 {
		return kept
	}
	for _, a := range all[1:] {
		if !slices.Contains(kept, a) {
			a.pools.Close()
		}
	}
	all = append(all[:1:1], kept...)
	l.all.Store(&all)
	return kept
}

// close gives up all of them.
func (l *living) close() {
	for i, a := range *l.all.Load() {
		if i == 0 {
			a.close()
		}
		a.pools.Close()
	}
}
