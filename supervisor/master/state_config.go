package master

import (
	"encoding/json"
	"os"

	"github.com/tinehq/tine/supervisor/config"
	"github.com/tinehq/tine/supervisor/succession"
)

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
	l.kept.configOf, l.kept.config = l.config, succession.EncodeConfig(kept)
}

// LeftConfig returns the config that the last master ran with, which was killed, or hands
// over, and has left inherited: see WithStore. A Supervisor that is made with it goes on as the
// last one did, down to its name and its addresses. Nothing is taken out of inherited.
func LeftConfig(inherited map[string][]*os.File) (*config.Config, error) {
	return succession.LeftConfig(inherited)
}
