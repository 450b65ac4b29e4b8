package supervisor

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/tinehq/tine/supervisor/record"
)

// savedConfig is what runs, for a master that comes after a crash and finds a config that
// cannot be read: what runs is to go on running.
type savedConfig struct {
	Config Config   `json:"config"` // without values that are fetched by a Go function
	Path   string   `json:"path,omitempty"`
	Env    string   `json:"env,omitempty"`
	Files  []string `json:"files,omitempty"`
}

// savedConfig is made anew when another config is applied, not at each step.
func (l *loop) savedConfig() json.RawMessage {
	if l.kept.configOf != l.config {
		l.keepConfig(l.config)
	}
	return l.kept.config
}

// keepConfig has c saved until another one is applied: after an adoption what this master
// was started with, where l.config is only what was found running.
func (l *loop) keepConfig(c *Config) {
	blob, err := json.Marshal(savedConfig{*c, c.path, c.env, c.files})
	if err != nil { // it is plain data
		panic("supervisor: " + err.Error())
	}
	l.kept.configOf, l.kept.config = l.config, blob
}

// LeftConfig returns the config that the last master ran with, which was killed and has
// left inherited: see WithStore. It is for when the one that is to be used cannot be read.
// Nothing is taken out of inherited.
func LeftConfig(inherited map[string][]*os.File) (*Config, error) {
	files := inherited[keptState]
	if len(files) == 0 {
		return nil, errors.New("no master was here before")
	}
	r, err := record.Open(files[0])
	if err != nil {
		return nil, err
	}
	blob, err := r.Read()
	if err != nil {
		return nil, err
	}
	state, err := readState(blob)
	if err != nil {
		return nil, err
	}
	var saved savedConfig
	if len(state.Config) == 0 {
		return nil, errors.New("the record of the last master has no config")
	}
	if err := json.Unmarshal(state.Config, &saved); err != nil {
		return nil, fmt.Errorf("cannot read the config in the record of the last master: %w", err)
	}
	c := &saved.Config
	c.path, c.env, c.files = saved.Path, saved.Env, saved.Files
	for i := range c.Apps {
		c.Apps[i].complete = true
	}
	for i := range c.Cache {
		c.Cache[i].complete = true
	}
	return c, nil
}

// WithRefusedConfig says that the config is not the one that was asked for, but that of
// LeftConfig, and why: which is told as of any other config that is not applied.
func WithRefusedConfig(why error) Option { return func(o *options) { o.refused = why } }
