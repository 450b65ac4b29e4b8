package control

import (
	"cmp"
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// discoverTimeout bounds the attempt to reach one socket.
const discoverTimeout = time.Second

// Instance is one socket that Discover found.
type Instance struct {
	Name  string // of the socket: that of the master
	Path  string
	Alive bool  // somebody answers
	Err   error // why not, such as a wrapped ErrNotRunning for what a dead master left
}

// Discover returns the sockets of this user's masters in all folders that DefaultPath
// would use, by name; the dead ones too. It takes about a second at most.
func Discover(ctx context.Context) []Instance {
	var found []Instance
	for _, dir := range folders() {
		entries, err := os.ReadDir(dir)
		if err != nil { // not there, or none of ours
			continue
		}
		for _, e := range entries {
			if name, ok := strings.CutSuffix(e.Name(), socketSuffix); ok && e.Type() == os.ModeSocket {
				found = append(found, Instance{Name: name, Path: filepath.Join(dir, e.Name())})
			}
		}
	}
	ctx, cancel := context.WithTimeout(ctx, discoverTimeout)
	defer cancel()
	var wg sync.WaitGroup
	for i := range found {
		wg.Go(func() {
			conn, err := dial(ctx, found[i].Path)
			if err == nil {
				conn.Close()
			}
			found[i].Alive, found[i].Err = err == nil, err
		})
	}
	wg.Wait()
	slices.SortStableFunc(found, func(a, b Instance) int { return cmp.Compare(a.Name, b.Name) })
	return found
}
