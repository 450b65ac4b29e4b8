package supervisor

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/tinehq/tine/supervisor/config"
	"github.com/tinehq/tine/supervisor/record"
)

// savedConfig is what runs. A master that comes after a crash or an upgrade goes on with it,
// whatever is in the file by then: an edit that nobody applied stays one.
type savedConfig struct {
	Config config.Config `json:"config"` // without values that are fetched by a Go function
	Path   string        `json:"path,omitempty"`
	Folder string        `json:"folder,omitempty"`
	Env    string        `json:"env,omitempty"`
	Files  []string      `json:"files,omitempty"`
	Read   []string      `json:"read,omitempty"`
}

// savedConfig is made anew when another config is applied, not at each step.
func (l *loop) savedConfig() json.RawMessage {
	if l.kept.configOf != l.config {
		l.keepConfig(l.config)
	}
	return l.kept.config
}

// keepConfig has c saved until another one is applied: after an adoption what the last master
// ran with, where l.config is only what was found running.
func (l *loop) keepConfig(c *config.Config) {
	kept := *c
	// What takes effect only when Tine is started stays what it is until a person does that.
	started := l.s.config
	kept.Name, kept.Control, kept.Dashboard, kept.Metrics, kept.Health = started.Name, started.Control, started.Dashboard, started.Metrics, started.Health
	kept.StopDelay, kept.StopTimeout, kept.Log = started.StopDelay, started.StopTimeout, started.Log
	kept.Log.Level = c.Log.Level
	o := c.Origin()
	blob, err := json.Marshal(savedConfig{kept, o.Path, o.Folder, o.Env, o.Files, o.Read})
	if err != nil { // it is plain data
		panic("supervisor: " + err.Error())
	}
	l.kept.configOf, l.kept.config = l.config, blob
}

// LeftConfig returns the config that the last master ran with, which was killed, or hands
// over, and has left inherited: see WithStore. A Supervisor that is made with it goes on as the
// last one did, down to its name and its addresses. Nothing is taken out of inherited.
func LeftConfig(inherited map[string][]*os.File) (*config.Config, error) {
	files := inherited[keptState]
	if len(files) == 0 {
		return nil, errors.New("no master was here before")
	}
	r, err := record.Open(files[0])
	if err != nil {
		return nil, err
	}
	state, err := readRecord(r)
	if err != nil {
		return nil, err
	}
	return state.config()
}

// config is what the last master ran with.
func (s savedState) config() (*config.Config, error) {
	var saved savedConfig
	if len(s.Config) == 0 {
		return nil, errors.New("the record of the last master has no config")
	}
	if err := json.Unmarshal(s.Config, &saved); err != nil {
		return nil, fmt.Errorf("cannot read the config in the record of the last master: %w", err)
	}
	return saved.Config.Restored(config.Origin{Path: saved.Path, Folder: saved.Folder, Env: saved.Env, Files: saved.Files, Read: saved.Read}), nil
}

// wentOn is the config that this master goes on with: what the last one ran with, with the
// values that a Go function fetches, which only asked can have.
func (s savedState) wentOn(asked *config.Config) *config.Config {
	c, err := s.config()
	if err != nil {
		return asked // the record is of a master that has kept none
	}
	for i := range c.Cache {
		for _, v := range asked.Cache {
			if v.Key == c.Cache[i].Key {
				c.Cache[i].Func = v.Func
			}
		}
	}
	c.Cache = slices.DeleteFunc(c.Cache, func(v config.CacheValue) bool { // this program has none
		return v.Func == nil && len(v.Exec) == 0 && v.File == "" && v.SQL == config.SQL{}
	})
	return c
}
