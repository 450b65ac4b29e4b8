package journal

import (
	"strings"

	"github.com/rs/zerolog"
	"github.com/tinehq/tine/supervisor/apps"
	"github.com/tinehq/tine/supervisor/control/api"
)

// Kinds of events of an app that waits for others, or that its schedule or a change of its files restarts.
const (
	eventWaiting    = "waiting"
	eventNotStarted = "not started"
	eventCron       = "cron"
	eventWatch      = "watch"
)

// AppStates are the states of an app in the words of the control API.
var AppStates = map[apps.State]string{
	apps.Running: api.AppRunning, apps.Waiting: api.AppWaiting, apps.Stopping: api.AppStopping,
	apps.Stopped: api.AppStopped, apps.Failed: api.AppGaveUp, apps.Finished: api.AppFinished,
}

// ofApps is what is told of a kind of record of the core between the apps.
type ofApps struct {
	level  zerolog.Level
	line   string // "": none
	event  string // the kind of it; "": none
	text   string // of the event, before the reason; APP is the app
	reason bool   // the line has the reason
}

var kindsOfApps = map[apps.Kind]ofApps{
	apps.KindWaiting:     {zerolog.InfoLevel, "app waits for what it depends on", eventWaiting, "APP waits: ", true},
	apps.KindNotStarted:  {zerolog.ErrorLevel, "app not started: what it depends on has failed", eventNotStarted, "APP is not started: ", true},
	apps.KindLeftOut:     {zerolog.InfoLevel, "one-shot app not run at the start", "", "", false},
	apps.KindCron:        {zerolog.InfoLevel, "", eventCron, "APP is restarted: ", false},
	apps.KindWatch:       {zerolog.InfoLevel, "", eventWatch, "files of APP have changed: ", false},
	apps.KindNotAgain:    {zerolog.WarnLevel, "one-shot app not run again: it has not ended", "", "", true},
	apps.KindMissed:      {zerolog.WarnLevel, "hook on_crash not run for some crashes: too many at once", "", "", false},
	apps.KindRemoved:     {zerolog.InfoLevel, "app is no longer in the config; stopping it", "", "", false},
	apps.KindRemovedSoon: {zerolog.InfoLevel, "app is no longer in the config; stopping it when its successor is ready", "", "", false},
	apps.KindImpossible:  {zerolog.ErrorLevel, "this cannot happen; please report it", "", "", true},
}

// TellApps tells what the core between the apps has recorded of the app of that name; "": of none. line begins a line of the log, and
// event takes an event: a kind of record has either or both.
func TellApps(r apps.Record, app string, line func(zerolog.Level) *zerolog.Event, event func(zerolog.Level, api.Event)) {
	k, known := kindsOfApps[r.Kind]
	if !known {
		return
	}
	if k.line != "" {
		e := line(k.level)
		if app != "" {
			e.Str("app", app)
		}
		if r.Kind == apps.KindImpossible {
			e.Str("state", r.State.String())
		}
		if k.reason {
			e.Str("reason", r.Reason)
		}
		switch r.Kind {
		case apps.KindLeftOut:
			if !r.Next.IsZero() {
				e.Time("next_run", r.Next)
			}
		case apps.KindNotAgain:
			e.Str("state", AppStates[r.State])
		case apps.KindMissed:
			e.Int("crashes", r.Count)
		}
		e.Msg(k.line)
	}
	if k.event != "" {
		said := r.Reason
		if r.Kind == apps.KindWatch {
			said = strings.TrimPrefix(said, "watch: ")
		}
		event(k.level, api.Event{Kind: k.event, Reason: r.Reason, Message: strings.Replace(k.text, "APP", "app "+app, 1) + said})
	}
}
