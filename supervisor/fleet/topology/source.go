package topology

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/tinehq/tine/supervisor/config"
	"github.com/tinehq/tine/supervisor/filewatch"
	"github.com/tinehq/tine/supervisor/fleet"
)

const (
	// MostBytes bounds the file.
	MostBytes = 8 << 20
	// quiet is how long the file must not change until it is read: a program that writes it in several steps is done by then.
	quiet = 50 * time.Millisecond
	// lookEvery is how often the file is read where the system cannot watch it.
	lookEvery = 2 * time.Second
	// mostWarnings bounds what is told of one version of the file.
	mostWarnings = 20
)

// Source follows one file. The zero value of what is optional is its default.
type Source struct {
	Name        string       // of the source, as events call it
	File        string       // absolute
	Environment string       // "": the only one of the file
	Warn        func(string) // optional; called by the goroutine of Run with what is wrong and does not keep the file from being used
}

// Run emits the members of the file as fleet.Listed, at once and whenever the file has changed, until ctx is done. What is wrong with the
// file is emitted as fleet.Silent: the members that were listed last stay. A further fault, before the file is right again, goes to Warn.
func (s Source) Run(ctx context.Context, emit func(fleet.Event)) {
	f := follower{Source: s, emit: emit}
	watch := config.Watch{Paths: []string{s.File}, Debounce: quiet}
	filewatch.Watch(ctx, watch, func(int) { f.read() }, func(string) { f.read() }, func(err error) {
		if !errors.Is(err, fs.ErrNotExist) { // read tells that
			f.warn(fmt.Sprintf("%s: %v", s.File, err))
		}
	})
	for look := time.NewTicker(lookEvery); ; {
		if ctx.Err() == nil {
			f.read()
		}
		select {
		case <-ctx.Done():
			look.Stop()
			return
		case <-look.C:
		}
	}
}

// follower is what Run knows of the file.
type follower struct {
	Source
	emit  func(fleet.Event)
	good  []byte // the text that the members are of; nil: there was none
	count int    // of the members
	fault string // of the file as it is; "": none
}

func (f *follower) read() {
	text, err := readFile(f.File)
	if err == nil && f.fault == "" && f.good != nil && bytes.Equal(text, f.good) {
		return
	}
	var t Table
	if err == nil {
		t, err = Parse(f.File, text, f.Environment)
	}
	if err != nil {
		f.failed(err)
		return
	}
	f.good, f.count, f.fault = text, len(t.Members), ""
	for i, w := range t.Warnings {
		if i == mostWarnings {
			f.warn(fmt.Sprintf("%s: and %d more warnings", f.File, len(t.Warnings)-i))
			break
		}
		f.warn(w.Summary())
	}
	f.emit(fleet.Listed{Source: f.Name, Members: t.Members})
}

func (f *follower) failed(err error) {
	text := err.Error()
	if all := (*config.Problems)(nil); errors.As(err, &all) {
		text = all.Errors[0].Summary()
		if more := len(all.Errors) - 1 + all.More; more > 0 {
			text += fmt.Sprintf(" (and %d more)", more)
		}
	}
	if f.good != nil {
		text += fmt.Sprintf("; the %d servers that were read before stay", f.count)
	}
	switch {
	case text == f.fault:
	case f.fault != "": // the fleet tells of the first one only
		f.warn(text)
	default:
		f.emit(fleet.Silent{Source: f.Name, Why: text})
	}
	f.fault = text
}

func (f *follower) warn(text string) {
	if f.Warn != nil {
		f.Warn(text)
	}
}

func readFile(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, MostBytes+1))
	if err != nil {
		return nil, err
	}
	if len(text) > MostBytes {
		return nil, fmt.Errorf("%s has more than %d bytes", path, MostBytes)
	}
	return text, nil
}
