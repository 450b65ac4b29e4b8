package succession

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"testing"
	"time"
)

// gate is a Store that does one thing for each value of next, and notes it.
type gate struct {
	next  chan struct{}
	done  []string
	fails map[string]error
}

func (g *gate) note(what, name string) error {
	<-g.next
	g.done = append(g.done, what+" "+name)
	return g.fails[name]
}

func (g *gate) Store(name string, files ...*os.File) error {
	for _, f := range files {
		if _, err := f.Stat(); err != nil {
			return err
		}
	}
	return g.note(fmt.Sprint("store ", len(files)), name)
}
func (g *gate) Remove(name string) error      { return g.note("remove", name) }
func (g *gate) Barrier(context.Context) error { return g.note("barrier", "") }

// file is one that is closed as soon as it is stored.
func put(t *testing.T, v *Vault, name string) {
	t.Helper()
	f, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	_ = v.Store(name, f)
	f.Close()
}

func (v *Vault) waiting() (all []string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, j := range v.queue {
		all = append(all, j.name)
	}
	return all
}

func TestVault(t *testing.T) {
	full := errors.New("full")
	for name, c := range map[string]struct {
		ask     func(v *Vault)
		want    []string
		results []Result
	}{
		"in order": {func(v *Vault) { put(t, v, "a"); _ = v.Remove("old"); put(t, v, "b"); v.Barrier(1) },
			[]string{"store 1 a", "remove old", "store 1 b", "barrier "}, []Result{{Barrier: 1}}},
		"two of one name":     {func(v *Vault) { put(t, v, "a"); put(t, v, "a") }, []string{"store 2 a"}, nil},
		"a put and its drop":  {func(v *Vault) { put(t, v, "a"); put(t, v, "b"); _ = v.Remove("a") }, []string{"store 1 b"}, nil},
		"a drop of nothing":   {func(v *Vault) { _ = v.Remove("a") }, nil, nil},
		"another for the old": {func(v *Vault) { _ = v.Remove("old"); put(t, v, "old") }, []string{"remove old", "store 1 old"}, nil},
		"and that is dropped": {func(v *Vault) { _ = v.Remove("old"); put(t, v, "old"); _ = v.Remove("old") }, []string{"remove old"}, nil},
		"many times": {func(v *Vault) {
			for range 100 {
				_ = v.Remove("old")
				put(t, v, "old")
			}
		}, []string{"remove old", "store 1 old"}, nil},
		"barriers that follow":   {func(v *Vault) { v.Barrier(1); v.Barrier(2) }, []string{"barrier "}, []Result{{Barrier: 1}, {Barrier: 2}}},
		"a barrier keeps order":  {func(v *Vault) { _ = v.Remove("old"); v.Barrier(1); put(t, v, "old") }, []string{"remove old", "barrier ", "store 1 old"}, []Result{{Barrier: 1}}},
		"an error, and goes on":  {func(v *Vault) { put(t, v, "full"); put(t, v, "b") }, []string{"store 1 full", "store 1 b"}, []Result{{Name: "full", Err: full}}},
		"what failed is removed": {func(v *Vault) { put(t, v, "full"); v.Barrier(1); put(t, v, "b") }, []string{"store 1 full", "barrier ", "store 1 b"}, []Result{{Name: "full", Err: full}, {Barrier: 1}}},
	} {
		t.Run(name, func(t *testing.T) {
			g := &gate{next: make(chan struct{}), fails: map[string]error{"full": full}}
			v := NewVault(g, []string{"old"})
			c.ask(v)
			v.Start()
			close(g.next)
			if err := v.Wait(context.Background()); err != nil {
				t.Fatal(err)
			}
			v.Close()
			if !slices.Equal(g.done, c.want) {
				t.Errorf("%q, wanted %q", g.done, c.want)
			}
			if got := v.Results(); !slices.Equal(got, c.results) {
				t.Errorf("%+v, wanted %+v", got, c.results)
			}
		})
	}
}

// TestVaultIsBounded: what a store that hangs is asked meanwhile is bounded by the names, and it is nobody's wait.
func TestVaultIsBounded(t *testing.T) {
	g := &gate{next: make(chan struct{})}
	v := NewVault(g, nil)
	v.Start()
	put(t, v, "first")
	for range 1000 {
		for _, name := range []string{"a", "b", "c"} {
			_ = v.Remove(name)
			put(t, v, name)
		}
	}
	if n := len(v.waiting()); n > 7 {
		t.Errorf("%d wait, of three names", n)
	}
	if err := v.WaitAtMost(time.Millisecond); !errors.Is(err, errSlow) {
		t.Error(err)
	}
	waited := make(chan error, 1)
	go func() { waited <- v.Wait(context.Background()) }()
	close(g.next)
	if err := <-waited; err != nil {
		t.Error(err)
	}
	put(t, v, "late")
	v.Close()
	v.Close()
}

// TestVaultNews: a failure is told by a value, once there are some.
func TestVaultNews(t *testing.T) {
	g := &gate{next: make(chan struct{}, 1), fails: map[string]error{"a": errors.New("no")}}
	v := NewVault(g, nil)
	v.Start()
	defer v.Close()
	put(t, v, "a")
	g.next <- struct{}{}
	<-v.News()
	if all := v.Results(); len(all) != 1 || all[0].Name != "a" || all[0].Err == nil {
		t.Errorf("%+v", all)
	}
}
