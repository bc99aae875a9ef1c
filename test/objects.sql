-- Everything that belongs to the extension, with all that makes it what it is: the TAP tests compare databases by it.
WITH member AS (SELECT classid, objid, objsubid FROM pg_depend WHERE refclassid = 'pg_extension'::regclass AND refobjid = (SELECT oid FROM pg_extension WHERE extname = 'taskapi') AND deptype = 'e')
SELECT i.type || ' ' || i.identity AS object, translate(concat_ws('|',
	CASE WHEN p.prokind IN ('f', 'p') THEN pg_get_functiondef(p.oid) END, (SELECT array_agg(acl::text ORDER BY acl::text) FROM unnest(coalesce(p.proacl, acldefault('f', p.proowner))) acl)::text, p.prosupport::text, p.procost, p.prorows,
	pg_get_viewdef(c.oid), (SELECT array_agg(acl::text ORDER BY acl::text) FROM unnest(coalesce(c.relacl, acldefault(CASE c.relkind WHEN 'S' THEN 's'::"char" ELSE 'r' END, c.relowner))) acl)::text, c.reloptions::text,
	(SELECT string_agg(concat_ws(' ', a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, pg_get_expr(d.adbin, d.adrelid), a.attacl::text, col_description(a.attrelid, a.attnum)), ',' ORDER BY a.attnum)
		FROM pg_attribute a LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped),
	(SELECT string_agg(pg_get_constraintdef(k.oid), ',' ORDER BY k.conname) FROM pg_constraint k WHERE k.conrelid = c.oid),
	(SELECT string_agg(pg_get_triggerdef(t.oid) || ' ' || t.tgenabled::text, ',' ORDER BY t.tgname) FROM pg_trigger t WHERE t.tgrelid = c.oid AND NOT t.tgisinternal),
	(SELECT string_agg(pg_get_indexdef(x.indexrelid), ',' ORDER BY x.indexrelid::regclass::text) FROM pg_index x WHERE x.indrelid = c.oid),
	(SELECT array_agg(acl::text ORDER BY acl::text) FROM unnest(coalesce(t.typacl, acldefault('T', t.typowner))) acl)::text, t.typtype, t.typinput, t.typoutput, t.typstorage, o.oprcode, o.oprrest, o.oprcom::regoperator::text, o.oprnegate::regoperator::text, (SELECT array_agg(acl::text ORDER BY acl::text) FROM unnest(coalesce(n.nspacl, acldefault('n', n.nspowner))) acl)::text,
	obj_description(m.objid, m.classid::regclass::name)), E'\n', ' ') AS definition
FROM member m CROSS JOIN LATERAL pg_identify_object(m.classid, m.objid, m.objsubid) i
LEFT JOIN pg_proc p ON m.classid = 'pg_proc'::regclass AND p.oid = m.objid
LEFT JOIN pg_class c ON m.classid = 'pg_class'::regclass AND c.oid = m.objid
LEFT JOIN pg_type t ON m.classid = 'pg_type'::regclass AND t.oid = m.objid
LEFT JOIN pg_operator o ON m.classid = 'pg_operator'::regclass AND o.oid = m.objid
LEFT JOIN pg_namespace n ON m.classid = 'pg_namespace'::regclass AND n.oid = m.objid
UNION ALL
SELECT 'configuration ' || c::regclass::text, w FROM pg_extension e, unnest(extconfig, extcondition) u(c, w) WHERE extname = 'taskapi'
ORDER BY 1
