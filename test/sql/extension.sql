-- The extension creates on a running server and is gone after DROP.
CREATE EXTENSION taskapi;
SELECT extversion FROM pg_extension WHERE extname = 'taskapi';
DROP EXTENSION taskapi;
