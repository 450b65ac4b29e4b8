package estate

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/tinehq/tine/supervisor/apps"
	"github.com/tinehq/tine/supervisor/config"
	"github.com/tinehq/tine/supervisor/crew"
	"github.com/tinehq/tine/supervisor/handle"
	"github.com/tinehq/tine/supervisor/listen"
	"github.com/tinehq/tine/supervisor/proc"
	"github.com/tinehq/tine/supervisor/succession"
)

// Inheritance is what a master begins with.
type Inheritance struct {
	// Config is what holds: of an adoption that of the last master, else that which Inherit was given.
	Config *config.Config
	// Apps are those that were made again, with their sockets and without their workers. Where Adopted reports false, the apps of Config
	// are to be opened; an adoption may be of no app, as one that an order is about to start again is not in the record.
	Apps []*crew.App
	// Restore is what the core of the apps is to be told of them: Runs are of Apps, and lack Spec and Facts.
	Restore apps.Restore
}

// Given are the sockets that this process was started with. They do not change after TakeGiven.
func (e *Estate) Given() *crew.Given { return e.given }

// TakeGiven takes the sockets out of what this process was started with, for the apps of c. What is none, and not a master's own, is
// closed and said.
func (e *Estate) TakeGiven(c *config.Config) {
	for _, name := range slices.Sorted(maps.Keys(e.inherited)) {
		if isOwn(name) {
			continue
		}
		for _, f := range e.inherited[name] {
			g, err := listen.TakeGiven(f)
			if err != nil {
				e.logs.Warn().Str("name", name).Err(err).Msg("a descriptor that tine was started with is not used")
				f.Close()
				continue
			}
			e.given.Sockets = append(e.given.Sockets, g)
			e.server.Handover.Give(name, g.File())
			if !e.given.Wanted(g, c) {
				e.logs.Warn().Str("name", name).Str("listen", g.Address().String()).Msg("no app listens on the address of a socket that tine was started with: nobody serves it")
			}
		}
		delete(e.inherited, name)
	}
	if len(c.Apps) == 1 && len(c.Apps[0].Listen) == 0 {
		e.given.Alone = c.Apps[0].Name
	}
}

// Inherit makes what the last master has left again: as its record says, or as its workers say where the record cannot be used.
// follows: the last master lives; then nothing is changed by it.
func (e *Estate) Inherit(c *config.Config, follows bool) (Inheritance, error) {
	before, err := e.openRecord()
	if err == nil && before != nil {
		in, failed := e.adopt(*before, e.leftFiles(*before), before.GoesOn(c))
		if failed == nil {
			return in, nil
		}
		err, c = failed, in.Config
	}
	switch {
	case err != nil && follows:
		return Inheritance{}, fmt.Errorf("cannot take over from the old master: %w", err)
	case err != nil && e.ledger.file != nil:
		return e.rescue(c, err)
	case err == nil:
		e.removeInherited()
	}
	return Inheritance{Config: c}, err
}

// drop closes the inherited files of some names, and those that the store has.
func (e *Estate) drop(names []string) {
	for _, name := range names {
		closeFiles(e.inherited[name])
		delete(e.inherited, name)
		e.Remove(name)
	}
}

// closeAdopted closes the inherited files of the sockets, which have duplicates of their own once they are adopted: as long
// as any stays open, the kernel goes on to give connections to a slot that was retired.
func (e *Estate) closeAdopted() {
	for name, files := range e.inherited {
		if strings.HasPrefix(name, succession.SocketsPrefix) {
			closeFiles(files)
			delete(e.inherited, name)
		}
	}
}

// CloseInherited closes what this process was started with. The process that has given it goes on holding it.
func (e *Estate) CloseInherited() {
	for _, g := range e.given.Sockets {
		g.Close()
	}
	for _, files := range e.inherited {
		closeFiles(files)
	}
}

// TakeSockets takes over the sockets that were adopted. What could not be is made anew now, and its workers are replaced by Resume.
func (e *Estate) TakeSockets() {
	if e.adopted != nil && e.rescued == nil {
		e.removePins()
		e.holdReleases()
		e.removeUnadopted()
	}
	for s := range e.sockets() {
		s.Mended = s.Begin()
		for _, m := range s.Mended {
			e.crew.TellMended(s, m)
		}
	}
}

// LeaveSockets is the end of a master that another one follows.
func (e *Estate) LeaveSockets() {
	for s := range e.sockets() {
		s.Leave()
	}
}

// leftFiles says which workers' files were left, for the plan of an adoption.
func (e *Estate) leftFiles(state succession.State) succession.LeftFiles {
	left := succession.LeftFiles{}
	for name, files := range e.inherited {
		if strings.HasPrefix(name, succession.WorkerPrefix) {
			left[name] = 0
			if len(files) != handle.FilesOfWorker {
				left[name] = succession.Incomplete
			}
		}
	}
	for _, name := range state.Unsure() {
		if pid, ok := left[name]; ok && pid == 0 {
			left[name] = proc.PIDOf(e.inherited[name][1])
		}
	}
	return left
}

// socketFiles are the inherited files of all sockets, by their keys and then by name: each name has one.
func (e *Estate) socketFiles() map[int]map[string]*os.File {
	byKey := map[int]map[string]*os.File{}
	for name, files := range e.inherited {
		key, file, ok := succession.ParseSocketsName(name)
		if !ok || len(files) == 0 {
			continue
		}
		if byKey[key] == nil {
			byKey[key] = map[string]*os.File{}
		}
		byKey[key][file] = files[0]
	}
	return byKey
}
