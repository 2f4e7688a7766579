# shellcheck shell=bash
# The database, one file. The amalgamation is generated here from the canonical source with the
# same options that it is compiled with, because several OMITs change the SQL grammar itself.
#
# Threads: one connection belongs to one thread at a time (THREADSAFE=2).
#
# Left out because no statement of ours uses them: JSON in SQL (33 KB; JSON is the C code's work),
# window functions (20 KB), date functions (9 KB; days are numbered by the C code), generated
# columns, UTF-16, deserialize, automatic vacuums and indexes, CHECK, LIKE by an index, 0x numbers,
# WITH, one index for each side of an OR (3 KB; no statement's plan has it), copies of whole tables,
# pragmas that list tables or what SQLite can do, the list of these options, ways to lock a
# file that are not for Linux's own, and functions that neither a statement of ours nor a test
# calls; and of FTS5 its tables of terms, all tokenizers but unicode61, highlight() and the options
# of an index that none of ours has. Left in although they could go: incremental blobs (FTS5 reads
# through them), ATTACH (VACUUM uses it), ALTER TABLE (migrations), foreign keys, PRAGMA
# quick_check; and ANALYZE, because leaving it out breaks CAST(x AS TEXT) in 3.46.1
# (tests/unit/test_store_store.c notices).
package=sqlite3
series=3.46
needs="musl linux-headers"
targets="*"
tools="tclsh:tcl"

features="SQLITE_THREADSAFE=2 SQLITE_DQS=0 SQLITE_DEFAULT_MEMSTATUS=0
	SQLITE_DEFAULT_WAL_SYNCHRONOUS=1 SQLITE_LIKE_DOESNT_MATCH_BLOBS SQLITE_MAX_EXPR_DEPTH=0
	SQLITE_MAX_MMAP_SIZE=0 SQLITE_MAX_WORKER_THREADS=0 SQLITE_ENABLE_FTS5
	SQLITE_OMIT_DEPRECATED SQLITE_OMIT_SHARED_CACHE SQLITE_OMIT_PROGRESS_CALLBACK
	SQLITE_OMIT_AUTHORIZATION SQLITE_OMIT_TRACE SQLITE_OMIT_LOAD_EXTENSION
	SQLITE_OMIT_DECLTYPE SQLITE_OMIT_COMPLETE SQLITE_OMIT_TCL_VARIABLE SQLITE_OMIT_GET_TABLE
	SQLITE_OMIT_UTF16 SQLITE_OMIT_JSON SQLITE_OMIT_WINDOWFUNC
	SQLITE_OMIT_GENERATED_COLUMNS SQLITE_OMIT_DESERIALIZE SQLITE_OMIT_LOCALTIME
	SQLITE_OMIT_AUTOVACUUM SQLITE_OMIT_AUTOMATIC_INDEX SQLITE_OMIT_COMPILEOPTION_DIAGS
	SQLITE_OMIT_REINDEX SQLITE_OMIT_DATETIME_FUNCS SQLITE_OMIT_CHECK SQLITE_OMIT_LIKE_OPTIMIZATION
	SQLITE_OMIT_HEX_INTEGER SQLITE_OMIT_OR_OPTIMIZATION SQLITE_OMIT_XFER_OPT
	LONGDOUBLE_TYPE=double SQLITE_UNTESTABLE"
platform="HAVE_USLEEP=1 HAVE_FDATASYNC=1 HAVE_GMTIME_R=1 HAVE_LOCALTIME_R=1 HAVE_READLINK=1
	HAVE_LSTAT=1 HAVE_STDINT_H=1 HAVE_INTTYPES_H=1 HAVE_MALLOC_USABLE_SIZE=0 USE_PREAD=1"

defines() { # NAME...
	printf -- '-D%s ' "$@"
}

write_pc() {
	mkdir -p "$DESTDIR$PREFIX/lib/pkgconfig"
	cat >"$DESTDIR$PREFIX/lib/pkgconfig/sqlite3.pc" <<-END
	prefix=$PREFIX
	libdir=\${prefix}/lib
	includedir=\${prefix}/include

	Name: SQLite
	Description: SQL database engine
	Version: $upstream
	Libs: -L\${libdir} -lsqlite3 -lpthread -lm
	Cflags: -I\${includedir}
	END
}

# Many parts have no options of their own; what is registered in one line leaves with that line.
leave_out() { # FILE LINE...
	local file="$source/$1" line
	shift
	for line; do
		grep -q "$line" "$file" || return 1
		sed -i "/$line/d" "$file"
	done
}

leave_out_functions() {
	local name
	for name in ltrim rtrim trim unicode abs round upper lower unhex concat concat_ws \
		random randomblob sqlite_version sqlite_source_id sqlite_log last_insert_rowid changes \
		total_changes sign substring subtype total avg unlikely likelihood likely; do
		leave_out src/func.c "^ *[A-Z0-9]*\(FUNC\|FUNCTION2\?\|AGGREGATE\|INLINE_FUNC\)($name, "
	done
}

# What no index of ours is told to do is a constant, so that the code for it is never reached and
# leaves the program. FTS5 then refuses the option as unknown.
settle_index_options() {
	local file="$source/ext/fts5/fts5_config.c" option
	for option in prefix contentless_delete columnsize detail tokendata secure-delete; do
		grep -q "str[n]*icmp(.*\"$option\"" "$file" || return 1
		sed -i "s/if( .*str[n]*icmp(.*\"$option\".* ){/if( 0 ){/" "$file"
	done
	perl -pi -e '
		s/(?<!->)\b(?:p\w*->)+eDetail\b(?!\s*=[^=])/FTS5_DETAIL_FULL/g;
		s/(?<!->)\b(?:p\w*->)+(bContentlessDelete|bTokendata|bSecureDelete|nPrefix)\b(?!\s*=[^=])/0/g;
		s/(?<!->)\b(?:p\w*->)+bColumnsize\b(?!\s*=[^=])/1/g;
		' "$source"/ext/fts5/fts5_{aux,expr,hash,index,main,storage}.c
}

# SQLite calculates digits with long doubles where the machine has them, and in another way where
# not. On aarch64 they are made in software, which is 4 KB; the other way is there in any case.
leave_out_long_doubles() {
	grep -q 'if( sqlite3Config.bUseLongDouble )' "$source/src/util.c" || return 1
	sed -i 's/if( sqlite3Config.bUseLongDouble )/if( 0 )/' "$source/src/util.c"
}

build() {
	local wanted="$features"
	leave_out ext/fts5/fts5_main.c '= sqlite3Fts5VocabInit(pGlobal, db);'
	leave_out ext/fts5/fts5_tokenize.c '{ "ascii", ' '{ "porter", ' '{ "trigram", '
	leave_out ext/fts5/fts5_aux.c '{ "highlight", '
	leave_out src/os_unix.c 'UNIXVFS("unix-none"' 'UNIXVFS("unix-dotfile"' 'UNIXVFS("unix-excl"'
	leave_out_functions
	leave_out_long_doubles
	settle_index_options
	# Tests ask for query plans and a table's columns, and count with WITH; the shipped binary
	# never does.
	[ "$libc" = musl ] && wanted="$wanted SQLITE_OMIT_EXPLAIN SQLITE_OMIT_SCHEMA_PRAGMAS
		SQLITE_OMIT_INTROSPECTION_PRAGMAS SQLITE_OMIT_CTE"
	mkdir build
	cd build
	# The generator runs on the build machine, so it is made with its compiler.
	env -u CFLAGS -u LDFLAGS CC=gcc "$source/configure" --disable-tcl --disable-readline \
		--disable-shared
	# shellcheck disable=SC2086
	env -u CFLAGS -u LDFLAGS make CC=gcc OPTS="$(defines $wanted)" sqlite3.c
	# It reads our own statements from our own file: the stack protector's 24 KB go elsewhere.
	# shellcheck disable=SC2046,SC2086
	$CC $CFLAGS -fno-stack-protector $(defines $wanted $platform) -c sqlite3.c -o sqlite3.o
	mkdir -p "$DESTDIR$PREFIX"/{lib,include}
	"$AR" rcs "$DESTDIR$PREFIX/lib/libsqlite3.a" sqlite3.o
	cp sqlite3.h "$DESTDIR$PREFIX/include/"
	write_pc
}
