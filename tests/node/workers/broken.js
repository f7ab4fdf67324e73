'use strict';

const { NodeyError } = require('nodey');

throw new NodeyError('failed_precondition', 'DATABASE_URL is not set');
