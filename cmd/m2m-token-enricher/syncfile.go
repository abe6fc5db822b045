package main

import "m2m-token-enricher/sync/reconcile"

// file makes the records what the files of a directory say.
func (r *syncRun) file(args []string) error {
	directory := reconcile.Directory(args[0])
	return r.from(directory, nil, directory.Version)
}
