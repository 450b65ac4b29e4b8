package snapshot

import (
	"fmt"
	"strings"

	"github.com/tinehq/tine/supervisor/pool"
)

// maxText is the longest that Describe returns, in bytes.
const maxText = 256

// Describe says in a few words how a master is, and whether it is in the middle of a rollout.
func (m *Master) Describe() (text string, rolling bool) {
	var parts []string
	left := 0
	for _, a := range m.Apps {
		left += len(a.Workers)
		if a.Ended || a.OneShot && len(a.Workers) == 0 {
			continue
		}
		part := fmt.Sprintf("%d of %d ready", a.Pool.Ready, a.Pool.Wanted)
		if len(m.Apps) > 1 {
			part = a.Name + " " + part
		}
		if r := a.Pool.Rollout; r != nil {
			rolling = true
			part += fmt.Sprintf(", rollout %d of %d", r.Rolled, a.Pool.Wanted)
		}
		if a.UnreachableText() != "" {
			part += ", unreachable"
		}
		parts = append(parts, part)
	}
	text = strings.Join(parts, "; ")
	switch {
	case m.Stopping:
		text = fmt.Sprintf("stopping: %d workers left", left)
	case text == "":
		text = "no app runs"
	case !m.WasReady:
		text = "starting: " + text
	}
	if len(text) > maxText {
		text = text[:maxText-3] + "..."
	}
	return text, rolling
}

// Lifeless is an app that should serve and has no worker, nor will have one by itself; nil: there is none. Whether a worker that
// is there does well is not asked: the pool replaces it if not, and a new master could do no more.
func (m *Master) Lifeless() *App {
	for _, a := range m.Apps {
		if !a.Ended && !a.Waiting && !a.Leaving && !alive(&a.Pool) {
			return a
		}
	}
	return nil
}

// alive reports whether some slot has a worker, or will have one by itself, or is meant to have none.
func alive(st *pool.Status) bool {
	if st.Wanted == 0 || len(st.Slots) == 0 {
		return true
	}
	for _, slot := range st.Slots {
		if len(slot.Workers) > 0 || slot.State != pool.SlotVacant || slot.Finished || slot.Held != "" || !slot.RetryAt.IsZero() {
			return true
		}
	}
	return len(st.Standbys) > 0
}
