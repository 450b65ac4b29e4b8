package config

import (
	"path/filepath"
	"strings"
)

// In returns c with every relative path made absolute, as seen from folder, which is absolute: from then on the config
// means the same whatever becomes of the process's working folder. An app without a Dir gets folder, and so does a cached
// value that runs a command. A config from a file has nothing of that kind, but for what was added to it later. A symlink in
// folder is kept: it is followed anew by each rollout. c stays as it is; with "" it is returned.
func (c *Config) In(folder string) *Config {
	if folder == "" {
		return c
	}
	out := *c
	out.Control, out.Log.File = InFolder(folder, c.Control), InFolder(folder, c.Log.File)
	if c.Control == ControlOff {
		out.Control = ControlOff
	}
	out.Dashboard.TokenFile = InFolder(folder, c.Dashboard.TokenFile)
	out.Apps = make([]App, len(c.Apps))
	for i, a := range c.Apps {
		if a.Dir = InFolder(folder, a.Dir); a.Dir == "" {
			a.Dir = folder
		}
		a.EnvFiles = allInFolder(folder, a.EnvFiles)
		a.Watch.Paths = allInFolder(folder, a.Watch.Paths)
		a.Log.File, a.DumpDir = InFolder(folder, a.Log.File), InFolder(folder, a.DumpDir)
		var listen []string
		for _, address := range a.Listen {
			listen = append(listen, SocketInFolder(folder, address))
		}
		a.Listen = listen
		out.Apps[i] = a
	}
	out.Cache = make([]CacheValue, len(c.Cache))
	for i, v := range c.Cache {
		v.File = InFolder(folder, v.File)
		if v.Dir = InFolder(folder, v.Dir); v.Dir == "" && len(v.Exec) > 0 {
			v.Dir = folder
		}
		if v.SQL.Driver == "" || v.SQL.Driver == "sqlite" {
			v.SQL.DSN = DsnInFolder(folder, v.SQL.DSN)
		}
		out.Cache[i] = v
	}
	return &out
}

func InFolder(folder, path string) string {
	if path == "" || filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(folder, path)
}

func allInFolder(folder string, paths []string) []string {
	var all []string
	for _, p := range paths {
		all = append(all, InFolder(folder, p))
	}
	return all
}

// placedSocket makes the path of a Unix-domain address absolute.
func SocketInFolder(folder, address string) string {
	path, ok := strings.CutPrefix(address, "unix:")
	if path = strings.TrimPrefix(path, "//"); !ok || path == "" || path[0] == '/' || path[0] == '@' {
		return address
	}
	return "unix:" + InFolder(folder, path)
}

// placedDSN makes the name of a database in a file absolute.
func DsnInFolder(folder, dsn string) string {
	if dsn == "" || strings.Contains(dsn, ":memory:") {
		return dsn
	}
	path, isURL := strings.CutPrefix(dsn, "file:")
	if !isURL {
		return InFolder(folder, dsn)
	}
	if path == "" || strings.HasPrefix(path, "/") {
		return dsn
	}
	file, query, has := strings.Cut(path, "?")
	if file = "file:" + InFolder(folder, file); has {
		file += "?" + query
	}
	return file
}
