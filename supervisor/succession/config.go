package succession

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/tinehq/tine/supervisor/config"
	"github.com/tinehq/tine/supervisor/record"
)

// Config is what runs. A master that comes after a crash or an upgrade goes on with it, whatever is in the file by then: an
// edit that no caller has applied stays one.
type Config struct {
	Config config.Config `json:"config"` // without values that are fetched by a Go function
	Path   string        `json:"path,omitempty"`
	Folder string        `json:"folder,omitempty"`
	Env    string        `json:"env,omitempty"`
	Files  []string      `json:"files,omitempty"`
	Read   []string      `json:"read,omitempty"`
}

// EncodeConfig is what State.Config has for c.
func EncodeConfig(c config.Config) json.RawMessage {
	o := c.Origin()
	blob, err := json.Marshal(Config{c, o.Path, o.Folder, o.Env, o.Files, o.Read})
	if err != nil { // it is plain data
		panic("succession: " + err.Error())
	}
	return blob
}

// Running is the config that the last master ran with.
func (s State) Running() (*config.Config, error) {
	var saved Config
	if len(s.Config) == 0 {
		return nil, errors.New("the record of the last master has no config")
	}
	if err := json.Unmarshal(s.Config, &saved); err != nil {
		return nil, fmt.Errorf("cannot read the config in the record of the last master: %w", err)
	}
	return saved.Config.Restored(config.Origin{Path: saved.Path, Folder: saved.Folder, Env: saved.Env, Files: saved.Files, Read: saved.Read}), nil
}

// GoesOn is the config that the next master goes on with: what the last one ran with, with the values that a Go function
// fetches, which only asked can have.
func (s State) GoesOn(asked *config.Config) *config.Config {
	c, err := s.Running()
	if err != nil {
		return asked // the record is of a master that has saved none
	}
	for i := range c.Cache {
		for _, v := range asked.Cache {
			if v.Key == c.Cache[i].Key {
				c.Cache[i].Func = v.Func
			}
		}
	}
	c.Cache = slices.DeleteFunc(c.Cache, func(v config.CacheValue) bool { // this program has none
		return v.Func == nil && len(v.Exec) == 0 && v.File == "" && len(v.Members) == 0 && v.SQL == config.SQL{}
	})
	return c
}

// LeftConfig returns the config that the last master ran with, which was killed, or hands over, and has left inherited: files
// by name. Nothing is taken out of inherited.
func LeftConfig(inherited map[string][]*os.File) (*config.Config, error) {
	files := inherited[StateFile]
	if len(files) == 0 {
		return nil, errors.New("no master was here before")
	}
	r, err := record.Open(files[0])
	if err != nil {
		return nil, err
	}
	state, err := Read(r)
	if err != nil {
		return nil, err
	}
	return state.Running()
}
