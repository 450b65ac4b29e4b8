package serve

import (
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/tinehq/tine/supervisor/config"
	"github.com/tinehq/tine/supervisor/config/file"
)

const (
	// draftPace is the least time between two looks at the files of the config.
	draftPace = time.Second
	// draftWait bounds the wait of a status for such a look: a disk may hang.
	draftWait = 50 * time.Millisecond
	// draftPaths is how many of the changes are named.
	draftPaths = 3
)

// drafts tells whether the config on disk is the one that runs. It is not if the files were edited and not applied, or if another
// config was applied. The files are read for a status only, in a goroutine of its own, and only when one has changed. All methods
// may be called from any goroutine.
type drafts struct {
	load func() (*config.Config, error)

	mu      sync.Mutex
	looking chan struct{}  // closed when the look under way is over; nil: there is none
	looked  time.Time      // when the last look began
	stamp   string         // of the files, as they were read last
	running *config.Config // that they were compared with
	text    string         // how they differ; "": they do not
}

// of returns in words how the config on disk differs from the one that runs; "": it does not, as far as is known.
func (d *drafts) of(running *config.Config) string {
	if running == nil || running.Path() == "" {
		return ""
	}
	d.mu.Lock()
	if d.looking == nil && (time.Since(d.looked) >= draftPace || d.running != running) {
		over := make(chan struct{})
		d.looking, d.looked = over, time.Now()
		go func() {
			defer close(over)
			d.look(running)
		}()
	}
	looking := d.looking
	d.mu.Unlock()
	if looking != nil {
		select {
		case <-looking:
		case <-time.After(draftWait):
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.text
}

// look compares the two, and reads only what may have changed.
func (d *drafts) look(running *config.Config) (text string, err error) {
	stamp := running.Stamp()
	d.mu.Lock()
	same := d.running == running && d.stamp == stamp && d.text == ""
	d.mu.Unlock()
	if !same {
		text, err = d.compare(running)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.stamp, d.running, d.text, d.looking = stamp, running, text, nil
	return text, err
}

func (d *drafts) compare(running *config.Config) (text string, err error) {
	next, err := d.load()
	if err == nil {
		err = next.Validate()
	}
	if err != nil {
		first, _, _ := strings.Cut(err.Error(), "\n")
		return "the configuration on disk cannot be applied, what ran runs on: " + first, err
	}
	changes := file.Diff(running, next)
	if len(changes) == 0 {
		return "", nil
	}
	var paths []string
	for _, c := range changes[:min(len(changes), draftPaths)] {
		paths = append(paths, c.Path)
	}
	if len(changes) > draftPaths {
		paths = append(paths, "...")
	}
	return fmt.Sprintf("the configuration on disk is not what runs, %d of its settings are not applied: %s (tine config apply --dry-run shows them)",
		len(changes), strings.Join(paths, ", ")), nil
}

// Draft says how the config on disk differs from the one that runs; "": it does not. err says why it cannot be applied. It may
// wait for a disk.
func (s *Server) Draft(running *config.Config) (text string, err error) {
	return s.drafts.look(running)
}
