package config

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/tinehq/tine/ipc"
	"github.com/tinehq/tine/ipc/members"
	"github.com/tinehq/tine/ipc/policy"
	"github.com/tinehq/tine/supervisor/host"
	"github.com/tinehq/tine/supervisor/listen"
)

const maxAppName = 63

// AppNamePattern matches the characters of valid names of apps, which have at most 63.
var AppNamePattern = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]*$`)

// allApps means all apps where a command line names one: tine reload all.
const allApps = "all"

// Validate checks a config that was built in Go, with its defaults, which c itself need not have; a config from a file has been
// checked. The error is a *[Problems] that names all that is wrong.
func (c *Config) Validate() error { return JoinProblems(Faults(c.WithDefaults())) }

// checker collects faults. A fault has the path of its key, but no line.
type checker struct {
	file  string
	found []*Problem
}

func (c *checker) fail(path, format string, args ...any) {
	c.found = append(c.found, &Problem{File: c.file, Path: path, Message: fmt.Sprintf(format, args...)})
}

// Faults returns what is wrong with a config that has its defaults, each with the path of its key, and in the order of the
// checks. It looks up users, groups and the folders of sockets, and so may wait for a disk.
func Faults(c *Config) []*Problem {
	ck := checker{file: c.origin.Path}
	if len(c.Apps) == 0 {
		ck.fail("apps", "no app to run: write a name below apps, and a command below that")
	}
	names := map[string]bool{}
	var taken []claim
	for i, a := range c.Apps {
		path := Join("apps", a.Name)
		if a.Name == "" {
			path = Index("apps", i)
		}
		switch {
		case len(a.Name) > maxAppName:
			ck.fail(path, "the name has %d characters, the most is %d", len(a.Name), maxAppName)
		case !AppNamePattern.MatchString(a.Name):
			ck.fail(path, "%q is not a name for an app: use a-z 0-9 . _ - and begin with a letter or a digit", a.Name)
		case a.Name == allApps:
			ck.fail(path, "%q is not a name for an app: on a command line it means all of them", a.Name)
		case names[a.Name]:
			ck.fail(path, "two apps have this name")
		}
		names[a.Name] = true
		ck.app(path, a)
		if a.Gateway != nil {
			ck.gateway(Join(path, "gateway"), a, c.Apps)
		}
		taken = ck.listen(path, a, taken)
	}
	keys := map[string]bool{}
	for i, v := range c.Cache {
		path := Join("cache", v.Key)
		if strings.HasPrefix(v.Key, policy.Prefix) {
			ck.fail(path, "keys that begin with %s are those of gateways: choose another one", policy.Prefix)
		}
		if v.Key == "" {
			path = Index("cache", i)
		}
		if keys[v.Key] {
			ck.fail(path, "two values have this key")
		}
		keys[v.Key] = true
		ck.cacheValue(path, v)
	}
	ck.dependencies(c.Apps)
	ck.log(c.Log)
	ck.rotatedTwice(c)
	ck.console(c, taken)
	return ck.found
}

func (c *checker) app(path string, a App) {
	if (len(a.Command) == 0 || a.Command[0] == "") && a.Gateway == nil {
		c.fail(Join(path, "command"), "no command: write the program to run, such as [./server, -v]")
	}
	for i, w := range a.Command {
		if strings.ContainsRune(w, 0) {
			c.fail(Index(Join(path, "command"), i), "contains a zero byte")
		}
	}
	c.env(Join(path, "env"), a.Env)
	for i, f := range a.EnvFiles {
		if f == "" {
			c.fail(Index(Join(path, "env_file"), i), "is empty: write the path of a file")
		}
	}
	c.between(Join(path, "workers"), a.Workers, 0, host.MaxWorkers)
	c.oneOf(Join(path, "restart"), a.Restart, RestartOnFailure, RestartAlways, RestartNever)
	c.oneOf(Join(path, "rollout"), a.Rollout, RolloutSurge, RolloutStopFirst)
	c.oneOf(Join(path, "cpu_affinity"), a.CPUAffinity, CPUAffinityAuto, CPUAffinityOff)

	backoff := Join(path, "backoff")
	c.positive(Join(backoff, "base"), a.Backoff.Base)
	c.positive(Join(backoff, "max"), a.Backoff.Max)
	c.share(Join(backoff, "jitter"), a.Backoff.Jitter)
	c.positive(Join(backoff, "reset"), a.Backoff.Reset)
	if a.Backoff.Base > 0 && a.Backoff.Max > 0 && a.Backoff.Max < a.Backoff.Base {
		c.fail(Join(backoff, "max"), "%s is less than the base of %s", a.Backoff.Max, a.Backoff.Base)
	}
	c.between(Join(path, "start_limit"), a.StartLimit, 0, 1_000_000)
	c.positive(Join(path, "ready_timeout"), a.ReadyTimeout)
	c.notNegative(Join(path, "drain_delay"), a.DrainDelay)
	c.notNegative(Join(path, "drain_timeout"), a.DrainTimeout)
	c.positive(Join(path, "kill_after"), a.KillAfter)
	c.between(Join(path, "max_surge"), a.MaxSurge, 1, host.MaxWorkers)
	c.between(Join(path, "max_unavailable"), a.MaxUnavailable, 0, host.MaxWorkers)
	c.between(Join(path, "gomaxprocs"), a.GOMAXPROCS, 0, 65536)
	if a.GOMEMLIMIT < -1 {
		c.fail(Join(path, "gomemlimit"), "%d is negative", a.GOMEMLIMIT)
	}
	c.steering(path, a)
	c.recycling(path, a)
	c.life(path, a)
	c.appLog(Join(path, "log"), a.Log)
}

// steering checks how a worker is chosen for a connection, and what happens when all are full.
func (c *checker) steering(path string, a App) {
	policy := Join(path, "policy")
	c.oneOf(policy, a.Policy, PolicyLeast, PolicyRoundRobin, PolicyRandom, PolicyHash, PolicyClientIP, PolicyCPU)
	if a.Policy == PolicyCPU && a.CPUAffinity == CPUAffinityOff {
		c.fail(policy, "cpu needs each worker on a CPU of its own: write cpu_affinity: auto")
	}
	c.oneOf(Join(path, "steering"), a.Steering, SteeringAuto, SteeringEBPF, SteeringCBPF, SteeringHash)
	overload := Join(path, "on_overload")
	c.oneOf(overload, a.OnOverload, OverloadQueue, OverloadRefuse)
	c.between(Join(path, "overload_at"), a.OverloadAt, 0, MaxOverloadAt)
	c.between(Join(path, "max_in_flight"), a.MaxInFlight, 0, MaxMaxInFlight)
	if a.OnOverload == OverloadRefuse {
		switch {
		case a.OverloadAt == 0:
			c.fail(overload, "refuse needs to know when a worker is full: write overload_at: 100 for 100 busy connections")
		case a.Steering == SteeringCBPF, a.Steering == SteeringHash:
			c.fail(overload, "refuse needs ebpf, and steering is %s: write steering: auto", a.Steering)
		}
	}
}

// recycling checks when a running worker is replaced.
func (c *checker) recycling(path string, a App) {
	c.atLeast(Join(path, "stall_timeout"), a.StallTimeout, leastTimeout)
	c.atLeast(Join(path, "request_timeout"), a.RequestTimeout, leastTimeout)
	c.between(Join(path, "max_requests"), a.MaxRequests, 0, MaxMaxRequests)
	c.atLeast(Join(path, "max_age"), a.MaxAge, leastMaxAge)
	switch {
	case a.MaxRSS < 0:
		c.fail(Join(path, "max_rss"), "%d is negative", a.MaxRSS)
	case a.MaxRSS > 0 && a.MaxRSS < leastMaxRSS:
		c.fail(Join(path, "max_rss"), "%d bytes is too little: write off or at least 1MiB", a.MaxRSS)
	}
	c.share(Join(path, "recycle_jitter"), a.RecycleJitter)
	c.between(Join(path, "standby"), a.Standby, 0, host.MaxWorkers)
	if strings.ContainsRune(a.DumpDir, 0) {
		c.fail(Join(path, "dump_dir"), "contains a zero byte")
	}
}

// listen checks the addresses of an app against those of the apps before it, and returns all of them.
func (c *checker) listen(path string, a App, taken []claim) []claim {
	for i, text := range a.Listen {
		at := Join(path, "listen")
		if len(a.Listen) > 1 {
			at = Index(at, i)
		}
		claim, err := parseClaim(text)
		if err != nil {
			c.fail(at, "%v", err)
			continue
		}
		claim.who = "app " + a.Name
		c.free(at, claim, taken)
		taken = append(taken, claim)
	}
	return taken
}

// free checks that a claim overlaps with none that is taken already.
func (c *checker) free(path string, wanted claim, taken []claim) {
	i := slices.IndexFunc(taken, func(other claim) bool { return wanted.Overlaps(other.Place) })
	if i < 0 {
		return
	}
	other := taken[i]
	who := other.who
	if who == wanted.who {
		who = "this app"
	}
	if wanted.text == other.text {
		c.fail(path, "%s is in use twice: %s has it already", wanted.text, who)
		return
	}
	wayOut := listen.WayOut(wanted.address, other.address)
	if wayOut != "" {
		wayOut = ": " + wayOut
	}
	c.fail(path, "%s is in use twice: it overlaps with %s, which %s has already%s", wanted.text, other.text, who, wayOut)
}

func (c *checker) cacheValue(path string, v CacheValue) {
	switch {
	case v.Key == "":
		c.fail(path, "the key is empty")
	case len(v.Key) > ipc.MaxKey:
		c.fail(path, "the key has %d bytes, the most is %d", len(v.Key), ipc.MaxKey)
	}
	var sources []string
	for _, s := range []struct {
		name string
		set  bool
	}{{"exec", len(v.Exec) > 0}, {"file", v.File != ""}, {"sql", !v.SQL.isZero()}, {"members", len(v.Members) > 0}, {"func", v.Func != nil}} {
		if s.set {
			sources = append(sources, s.name)
		}
	}
	switch len(sources) {
	case 0:
		c.fail(path, "no source: write one of exec, file, sql or members")
	case 1:
	default:
		c.fail(Join(path, sources[1]), "two sources for one value: keep %s or %s", sources[0], strings.Join(sources[1:], " or "))
	}
	if !v.SQL.isZero() {
		at := Join(path, "sql")
		c.oneOf(Join(at, "driver"), v.SQL.Driver, "sqlite")
		if v.SQL.DSN == "" {
			c.fail(at, "no dsn: write the file of the database")
		}
		if strings.TrimSpace(v.SQL.Query) == "" {
			c.fail(at, "no query")
		}
	}
	if len(v.Members) > 0 {
		if err := members.CheckAddresses(v.Members); err != nil {
			c.fail(Join(path, "members"), "%v", err)
		}
	}
	if v.Every < 10*time.Millisecond {
		c.fail(Join(path, "every"), "%s is too often: the least is 10ms", v.Every)
	}
	c.positive(Join(path, "timeout"), v.Timeout)
	c.share(Join(path, "jitter"), v.Jitter)
	c.env(Join(path, "env"), v.Env)
}

func (c *checker) env(path string, env map[string]string) {
	for _, k := range slices.Sorted(maps.Keys(env)) {
		if err := checkEnvName(k); err != nil {
			c.fail(Join(path, k), "%v", err)
		} else if strings.ContainsRune(env[k], 0) {
			c.fail(Join(path, k), "contains a zero byte")
		}
	}
}

func (c *checker) oneOf(path, word string, allowed ...string) {
	if slices.Contains(allowed, word) {
		return
	}
	if s := Suggest(word, allowed); s != "" {
		c.fail(path, "%s is not known: did you mean %s?", Shorten(word), s)
		return
	}
	c.fail(path, "%s is not known: write %s", Shorten(word), strings.Join(allowed, ", "))
}

func (c *checker) between(path string, n, least, most int) {
	switch {
	case n < 0:
		c.fail(path, "%d is negative: write %d to %d", n, least, most)
	case n < least || n > most:
		c.fail(path, "%d is out of range: write %d to %d", n, least, most)
	}
}

func (c *checker) share(path string, f float64) {
	if !(f >= 0 && f <= 1) {
		c.fail(path, "%v is out of range: write 0 to 1, such as 0.2", f)
	}
}

func (c *checker) positive(path string, d time.Duration) {
	switch {
	case d < 0:
		c.fail(path, "%s is negative", d)
	case d == 0:
		c.fail(path, "must be more than 0")
	}
}

// atLeast checks a duration for which 0 means off.
func (c *checker) atLeast(path string, d, least time.Duration) {
	switch {
	case d < 0:
		c.fail(path, "%s is negative", d)
	case d > 0 && d < least:
		c.fail(path, "%s is too short: write off or at least %s", d, least)
	}
}

func (c *checker) notNegative(path string, d time.Duration) {
	if d < 0 {
		c.fail(path, "%s is negative", d)
	}
}
