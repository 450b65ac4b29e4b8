package config

import (
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Words that [App.Restart], [App.Rollout], [App.CPUAffinity], [App.Policy], [App.Steering], [App.OnOverload],
// [App.DependsOn] and [AppLog.OnFull] may be.
const (
	RestartOnFailure = "on-failure" // a worker that exits 0 unasked has finished; anything else restarts it
	RestartAlways    = "always"     // every exit restarts it
	RestartNever     = "never"      // no exit restarts it

	RolloutSurge     = "surge"      // the new worker becomes ready beside the old one, which drains then
	RolloutStopFirst = "stop_first" // the old worker drains and exits, then the new one starts

	CPUAffinityAuto = "auto" // each worker on a CPU of its own, where that is fair
	CPUAffinityOff  = "off"  // the kernel moves workers as it likes

	PolicyLeast      = "least"       // the worker with the fewest busy connections
	PolicyRoundRobin = "round-robin" // each in turn
	PolicyRandom     = "random"      // any
	PolicyHash       = "hash"        // by the addresses and ports of both ends: the same connection, the same worker
	PolicyClientIP   = "client-ip"   // by the client's address: the same client, the same worker, also after a rollout
	PolicyCPU        = "cpu"         // the worker on the CPU that the connection arrived on; needs CPUAffinityAuto

	SteeringAuto = "auto" // the best kind that this machine has
	SteeringEBPF = "ebpf" // a program in the kernel that counts; needs CAP_BPF
	SteeringCBPF = "cbpf" // a program in the kernel that the master replaces; needs no privilege
	SteeringHash = "hash" // the kernel's own hash: what Policy says has no effect

	OverloadQueue  = "queue"  // connections wait until a worker takes them
	OverloadRefuse = "refuse" // new connections are refused at once, in the kernel; needs steering by ebpf

	DependsReady  = "ready"  // all workers of the other app are ready
	DependsExited = "exited" // the other app has ended, and well

	OnFullBlock = "block" // a worker that writes faster than its log takes waits
	OnFullDrop  = "drop"  // what the log cannot take is dropped, and counted
)

// Config says what one master supervises. Package config/file reads it from a file, [Single] makes it from a command line, and
// a program that embeds the supervisor builds it in Go: there a zero field means its default.
type Config struct {
	Name  string       // of the master, in its log; default: the only app's name, else "tine"
	Apps  []App        // in the order of the file
	Cache []CacheValue // values that the master keeps fresh and broadcasts to all workers
	Log   Log

	// Control is the path of the Unix socket of the control API, at most 107 bytes, or [ControlOff]. Default: a socket of
	// the master's name in the folder for sockets of this user. From a file: relative to the file's own folder.
	Control   string
	Dashboard Dashboard
	Metrics   Metrics
	Health    Health

	// StopDelay is the time from the order to stop to the first drain, in which only GET /readyz changes, so that load
	// balancers notice; at most a quarter of StopTimeout. A second order skips it. Default: none.
	StopDelay time.Duration
	// StopTimeout is the time after which the service manager that stops Tine kills it. A stop ends before that: DrainDelay,
	// DrainTimeout and KillAfter are shortened as far as is needed, in a stop of the master only. At least 1s; 0
	// (default) and [StopTimeoutOff]: never. The command tine takes 0 for 10s when it is PID 1 of a container.
	StopTimeout time.Duration

	origin Origin
}

// Origin tells where a config was read from. The zero Origin is that of a config built in Go.
type Origin struct {
	Path   string   // of the file, as it was given; empty when built in Go
	Folder string   // absolute; a relative Path is relative to it
	Env    string   // name of the environment that was chosen; empty: none
	Files  []string // absolute; the file and all that it includes
	Read   []string // absolute; files that were read besides the first: included ones and files of variables
}

// Origin returns where the config was read from.
func (c *Config) Origin() Origin { return c.origin }

// SetOrigin notes where the config was read from. It is for package config/file, before the config is shared.
func (c *Config) SetOrigin(o Origin) { c.origin = o }

// Restored returns c, which a master had saved with its defaults, as one that was read from o: WithDefaults leaves a zero field
// of it as it is. It marks the apps and cached values of c itself.
func (c Config) Restored(o Origin) *Config {
	c.origin = o
	for i := range c.Apps {
		c.Apps[i].Complete = true
	}
	for i := range c.Cache {
		c.Cache[i].Complete = true
	}
	return &c
}

// Restored returns a, which a master had saved with its defaults, with Complete set.
func (a App) Restored() App {
	a.Complete = true
	return a
}

// Path returns the file that the config was read from, or "" when it was built in Go.
func (c *Config) Path() string { return c.origin.Path }

// App is one program under supervision.
type App struct {
	Name         string            // a-z 0-9 . _ - ; starts with a letter or a digit
	Command      []string          // program and arguments; looked up anew for each rollout
	Dir          string            // working folder; from a file: the file's own folder unless given
	Env          map[string]string // wins over EnvFiles, which win over the master's environment
	EnvFiles     []string          // read anew for each rollout, in order; see ReadEnvFile
	Listen       []string          // addresses; ":7000", "127.0.0.1:7000", "tcp6://[::1]:7000", "unix:/run/web.sock"
	Workers      int               // 1 to 1,024; 0 (default): one for each CPU that Tine may use, see host.AutoWorkers
	Restart      string            // RestartOnFailure (default), RestartAlways, RestartNever
	Backoff      Backoff
	StartLimit   int           // failed starts in a row, before the app was ever ready, after which it gives up; default 5. See NewApp for 0: never
	ReadyTimeout time.Duration // from a worker's start until it must be ready; default 30s
	DrainDelay   time.Duration // at most this long, a draining worker asks kept-alive connections to close; default 1s
	DrainTimeout time.Duration // for the requests in flight after that; default 30s
	KillAfter    time.Duration // between SIGTERM and SIGKILL; default 5s

	Rollout        string // RolloutSurge (default), RolloutStopFirst
	MaxSurge       int    // workers above the target in a rollout with surge; default 1
	MaxUnavailable int    // workers below the target in a rollout; default 0

	GOMAXPROCS int   // for each worker; 0: the master decides; never overrides one that the environment sets
	GOMEMLIMIT int64 // bytes for each worker; 0: 90 % of the memory limit / (workers + surge + standby); -1: not set

	// CPUAffinity is CPUAffinityAuto (default) or CPUAffinityOff. Auto gives each worker one CPU of its own, where the
	// workers are a multiple of the CPUs and no quota says that the CPUs are shared.
	CPUAffinity string

	// Policy says which worker gets a new connection: PolicyLeast (default), PolicyRoundRobin, PolicyRandom, PolicyHash,
	// PolicyClientIP or PolicyCPU. A worker that starts, drains or is stalled gets none while another can take it. A kind of
	// steering that cannot follow the policy exactly comes as near to it as it can.
	Policy string
	// Steering is the best kind to use: SteeringAuto (default), SteeringEBPF, SteeringCBPF or SteeringHash. Where the machine
	// does not have that kind, the next one in this order is used.
	Steering string
	// OnOverload says what happens to new connections while every worker is full: OverloadQueue (default) or
	// OverloadRefuse, which needs OverloadAt. Where the kernel cannot refuse, they wait.
	OnOverload string
	OverloadAt int // busy connections at which a worker is full, 0 to 1,000,000; 0 (default): never

	// StallTimeout is how long a worker may be stalled (it has connections and makes no progress) until the master asks it for
	// its goroutines and replaces it. A stalled worker gets no new connection. At least 10ms; default 30s. See NewApp for 0:
	// never replaced.
	StallTimeout time.Duration
	// RequestTimeout is how long one request may be in flight until the master asks its worker for its goroutines and replaces
	// it. At least 10ms; 0 (default): for ever.
	RequestTimeout time.Duration
	MaxRequests    int           // a worker is replaced after this many requests, 0 to 1,000,000,000; 0 (default): never
	MaxAge         time.Duration // a worker is replaced after this time of being ready, at least 1s; 0 (default): never
	MaxRSS         int64         // bytes of resident memory at which a worker is replaced, at least 1 MiB; 0 (default): never
	// RecycleJitter is the share, 0 to 1, by which MaxRequests and MaxAge vary at random from worker to worker, so that
	// they do not all come due at once; default 0.1. See NewApp for 0: none.
	RecycleJitter float64
	// Standby is the number of further workers, 0 to 1,024, that are started and initialised without a slot, to take the place
	// of one that ends; default 0.
	Standby int
	// DumpDir is the folder for the goroutines of stalled workers; it is made, with mode 0700, when it is not there.
	// Default: the folder of the log file, else a folder in the temporary folder. From a file: relative to the file's own.
	DumpDir string

	// MaxInFlight is how many requests gateways of the same master send a worker at once, 1 to 1,024; 0 (default): there is no bound.
	MaxInFlight int `json:",omitempty"`
	// Inner says that a gateway of the same config passes requests on to the app, so that each slot has an inner socket. It is derived
	// from the gateways.
	Inner bool `json:",omitempty"`

	// Namespace groups apps, so that one order reaches all of a group. Made of the same characters as a name; default: none.
	Namespace string
	// DependsOn says, by name, which apps must be ready ([DependsReady]) or have ended well ([DependsExited]) before this one is
	// started for the first time. Circles are refused.
	DependsOn map[string]string
	Hooks     Hooks
	// CronRestart is when the workers are replaced, one at a time as in a rollout: the five fields minute, hour, day of
	// month, month and day of week of crontab(5), or @hourly, @daily, @weekly, @monthly or @every 90m. It is local time
	// unless CRON_TZ=Europe/Vienna and a blank stand before it. Where a clock is set, by daylight saving or by hand, a schedule
	// that names an hour is still due once: see package civil. Default: never. A one-shot app is run again instead.
	CronRestart string
	Watch       Watch
	// OneShot says that the app does its work and ends: a worker that exits 0 has finished, and none is expected to become
	// ready. The default of Workers is 1 then.
	OneShot bool
	// NotAtStart says that a one-shot app with CronRestart or Watch is not run when the master starts, but first when these
	// say so or an order starts it. In a file: at_start: false.
	NotAtStart bool
	Log        AppLog

	// Gateway makes the app a gateway, which passes requests on. nil: it is not one. Command may be empty then: it is that of Tine's own
	// gateway.
	Gateway *Gateway `json:",omitempty"`

	// Complete says that the defaults are filled in: a zero field means zero. NewApp and WithDefaults set it.
	Complete bool `json:"-"`
}

// Backoff says how long a slot waits before it starts a worker again: the first time not at all, then Base, doubling
// up to Max, each ±Jitter. After a worker has been ready for Reset, its slot begins anew.
type Backoff struct {
	Base   time.Duration // default 100ms
	Max    time.Duration // default 15s
	Jitter float64       // share of the wait, 0 to 1; default 0.2
	Reset  time.Duration // default 10s
}

const (
	defaultStartLimit   = 5
	defaultReadyTimeout = 30 * time.Second
	defaultDrainDelay   = time.Second
	defaultDrainTimeout = 30 * time.Second
	defaultKillAfter    = 5 * time.Second
	defaultMaxSurge     = 1
	defaultStallTimeout = 30 * time.Second
	defaultJitter       = 0.1
	defaultCacheEvery   = 5 * time.Second
	defaultCacheTimeout = 5 * time.Second

	leastTimeout = 10 * time.Millisecond
	leastMaxAge  = time.Second
	leastMaxRSS  = 1 << 20
)

// The largest values of [App.OverloadAt] and [App.MaxRequests].
const (
	MaxOverloadAt  = 1_000_000
	MaxMaxRequests = 1_000_000_000
	MaxMaxInFlight = 1024
)

var defaultBackoff = Backoff{Base: 100 * time.Millisecond, Max: 15 * time.Second, Jitter: 0.2, Reset: 10 * time.Second}

// NewApp returns an app with all defaults filled in. In an app made this way zero means zero (a DrainDelay of 0 is none),
// whereas in an App literal it means the default.
func NewApp(name string, command ...string) App {
	a := App{Name: name, Command: command}
	a.fill()
	return a
}

// Single returns the config of one app, as `tine run -l :7000 -n 4 -- COMMAND` has it. An empty name is taken from the
// command. The config is not validated yet.
func Single(name string, listen []string, workers int, command []string) *Config {
	if name == "" && len(command) > 0 {
		name = appName(command[0])
	}
	a := NewApp(name, command...)
	a.Listen, a.Workers = listen, workers
	return &Config{Apps: []App{a}}
}

// appName makes a valid name of a command's path.
func appName(command string) string {
	name := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9', r == '.', r == '_', r == '-':
			return r
		case r >= 'A' && r <= 'Z':
			return r - 'A' + 'a'
		}
		return '-'
	}, filepath.Base(command))
	if name = strings.TrimLeft(name, "._-"); name == "" {
		return "app"
	}
	return name[:min(len(name), maxAppName)]
}

// WithDefaults returns a copy in which all defaults are filled in. Slices and maps of apps are shared with c.
func (c *Config) WithDefaults() *Config {
	out := *c
	out.Apps = make([]App, len(c.Apps))
	for i, a := range c.Apps {
		a.fill()
		out.Apps[i] = a
	}
	for _, a := range out.Apps {
		if a.Gateway == nil {
			continue
		}
		for i := range out.Apps {
			if slices.Contains(a.Gateway.To, out.Apps[i].Name) {
				out.Apps[i].Inner = true
			}
		}
	}
	out.Cache = make([]CacheValue, len(c.Cache))
	for i, v := range c.Cache {
		v.Fill()
		out.Cache[i] = v
	}
	out.Log.fill()
	if out.Name == "" {
		out.Name = "tine"
		if len(out.Apps) == 1 {
			out.Name = out.Apps[0].Name
		}
	}
	return &out
}

// fill sets the defaults; in an app that is Complete only those of fields whose zero has no meaning.
func (a *App) fill() {
	setDefault(&a.Restart, RestartOnFailure)
	setDefault(&a.Rollout, RolloutSurge)
	setDefault(&a.CPUAffinity, CPUAffinityAuto)
	setDefault(&a.Policy, PolicyLeast)
	setDefault(&a.Steering, SteeringAuto)
	setDefault(&a.OnOverload, OverloadQueue)
	if a.OneShot {
		setDefault(&a.Workers, 1)
	}
	if a.Gateway != nil {
		if len(a.Command) == 0 {
			a.Command = gatewayCommand()
		}
		g := *a.Gateway
		g.expand()
		a.Gateway = &g
	}
	a.Hooks.fill()
	a.Watch.fill()
	a.Log.fill()
	if a.Complete {
		return
	}
	a.Complete = true
	if (a.Backoff == Backoff{}) {
		a.Backoff = defaultBackoff
	}
	setDefault(&a.Backoff.Base, defaultBackoff.Base)
	setDefault(&a.Backoff.Max, max(defaultBackoff.Max, a.Backoff.Base))
	setDefault(&a.Backoff.Reset, defaultBackoff.Reset)
	setDefault(&a.StartLimit, defaultStartLimit)
	setDefault(&a.ReadyTimeout, defaultReadyTimeout)
	setDefault(&a.DrainDelay, defaultDrainDelay)
	setDefault(&a.DrainTimeout, defaultDrainTimeout)
	setDefault(&a.KillAfter, defaultKillAfter)
	setDefault(&a.MaxSurge, defaultMaxSurge)
	setDefault(&a.StallTimeout, defaultStallTimeout)
	setDefault(&a.RecycleJitter, defaultJitter)
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}
