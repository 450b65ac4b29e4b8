package config

import (
	"path/filepath"
	"strings"
)

// In returns c with every relative path made absolute, relative to folder, which is absolute or "": then c itself is returned. So
// the config does not depend on the working folder of the process. An app without a Dir gets folder, and so does a cached value
// that runs a command. In a config from a file all paths are absolute already, except those that were added later. A symlink
// in folder is kept: each rollout follows it anew. c is not changed.
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
			v.SQL.DSN = DSNInFolder(folder, v.SQL.DSN)
		}
		out.Cache[i] = v
	}
	return &out
}

// InFolder makes a path absolute that is relative to folder. An empty one stays empty.
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

// SocketInFolder makes the path in an address such as unix:web.sock absolute. Other addresses and abstract sockets stay as they
// are.
func SocketInFolder(folder, address string) string {
	path, ok := strings.CutPrefix(address, "unix:")
	if path = strings.TrimPrefix(path, "//"); !ok || path == "" || path[0] == '/' || path[0] == '@' {
		return address
	}
	return "unix:" + InFolder(folder, path)
}

// DSNInFolder makes the file in a SQLite data source name absolute, also in one such as file:app.db?mode=ro. A database in
// memory stays as it is.
func DSNInFolder(folder, dsn string) string {
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
